package jose

import "encoding/json"

// maxList bounds the entries of a claim that is a list.
const maxList = 256

// Texts returns the strings of the list that v is; ok is false when it is no
// list, has anything else in it, or more than 256 entries.
func (v Value) Texts() (list []string, ok bool) {
	if len(v.raw) == 0 || v.raw[0] != '[' {
		return nil, false
	}
	var entries []*string
	if err := json.Unmarshal(v.raw, &entries); err != nil || len(entries) > maxList {
		return nil, false
	}
	for _, e := range entries {
		if e == nil { // null is no string
			return nil, false
		}
		list = append(list, *e)
	}
	return list, true
}
