package jose

import "iter"

// Members are the names and values of o in the order of the text.
func (o Object) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, m := range o.members {
			if !yield(m.name, m.value) {
				return
			}
		}
	}
}

// JSON is the value as it stands in the text.
func (v Value) JSON() string { return string(v.raw) }
