package availability

import (
	"sync"

	"busybridge/internal/directory"
	"busybridge/internal/routing"
)

// tables keeps the routing table of each organization's current version: it
// is compiled once. An old server has a table of its own.
type tables struct {
	mu sync.Mutex
	m  map[tableKey]*tableEntry
}

type tableKey struct {
	org     directory.OrgID
	version directory.Version // of an old server; zero for any other
}

type tableEntry struct {
	version int64
	table   func() *routing.Table
}

const maxTables = 20_000 // then one that is not in use this moment goes

func (t *tables) of(org *directory.Organization, server *directory.Server) *routing.Table {
	key := tableKey{org: org.ID}
	if server != nil && server.AdminDisplayVersion.Less(directory.OAuthVersion) {
		key.version = server.AdminDisplayVersion
	}
	t.mu.Lock()
	e := t.m[key]
	if e == nil || e.version != org.Version {
		if t.m == nil {
			t.m = map[tableKey]*tableEntry{}
		}
		for k := range t.m {
			if len(t.m) < maxTables {
				break
			}
			delete(t.m, k)
		}
		e = &tableEntry{org.Version, sync.OnceValue(func() *routing.Table { return routing.NewTable(org, server) })}
		t.m[key] = e
	}
	t.mu.Unlock()
	return e.table()
}
