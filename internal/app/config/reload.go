package config

import "reflect"

// Reloaded is c with next's values of the keys that can change while a node runs
// (tag reload). changed are those of them that differ; restart are the other keys
// that differ, which stay as they are in c.
func (c *Config) Reloaded(next *Config) (_ *Config, changed, restart []string) {
	merged := *c
	merged.source = next.source
	values := map[string]reflect.Value{}
	forEachField(reflect.ValueOf(next).Elem(), "", func(f field) { values[f.key] = f.value })
	forEachField(reflect.ValueOf(&merged).Elem(), "", func(f field) {
		if v := values[f.key]; !reflect.DeepEqual(f.value.Interface(), v.Interface()) {
			if _, ok := f.tag("reload"); !ok {
				restart = append(restart, f.key)
				return
			}
			changed = append(changed, f.key)
			f.value.Set(v)
		}
	})
	return &merged, changed, restart
}
