package mount

// Retune gives the turns other numbers while they are taken: AtOnce and the
// budgets of cfg, by the rules of NewTurns. What is worked on goes on, and what
// waits may have a turn at once.
func (t *Turns) Retune(cfg TurnsConfig) {
	next := NewTurns(TurnsConfig{AtOnce: cfg.AtOnce, Anonymous: cfg.Anonymous, User: cfg.User, Partner: cfg.Partner, Now: t.cfg.Now})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free += next.cfg.AtOnce - t.cfg.AtOnce // below zero until enough have ended
	t.cfg.AtOnce = next.cfg.AtOnce
	before := t.budgets
	t.budgets = next.budgets
	for k, a := range t.byKey {
		if before[k.Kind].PerMinute == 0 {
			a.spent = 0 // it was counted, but not by time
		}
		t.leave(a)
	}
	for _, a := range t.byKey {
		t.join(a)
	}
	t.grant()
}
