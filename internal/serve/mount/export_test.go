package mount

import "context"

// Take is take, with the end of the turn.
func (t *Turns) Take(ctx context.Context, c Caller) (done func(), err error) {
	a, err := t.take(ctx, c)
	return func() { t.done(a) }, err
}

// Turn takes a turn that is free, and ends it.
func (t *Turns) Turn(ctx context.Context, c Caller) {
	a, err := t.take(ctx, c)
	if err != nil {
		panic(err)
	}
	t.done(a)
}

// Accounts is how many callers are remembered.
func (t *Turns) Accounts() int { return len(t.byKey) }
