package remoteserver

import "github.com/prometheus/client_golang/prometheus"

// BytesOf is the counter of bytes in or out.
func BytesOf(s *Server, direction string) prometheus.Counter {
	return s.cfg.Metrics.bytes.WithLabelValues(direction)
}

// Sweep ends sessions whose time is over, as Run does from time to time.
func (s *Server) Sweep() { s.sweep() }

// Unused is how many sessions have no request under way.
func (s *Server) Unused() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shells {
		sh.mu.Lock()
		if sh.using == 0 {
			n++
		}
		sh.mu.Unlock()
	}
	return n
}
