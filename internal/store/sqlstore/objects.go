package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/directory"
)

// An object is one row of an aggregate: its body is JSON without secrets.
type object struct {
	kind     int
	id       string // unique in its kind
	position int    // order in its list; gaps are fine
	body     []byte
	secrets  []directory.Secret
}

func (o object) equal(p object) bool {
	return bytes.Equal(o.body, p.body) && slices.EqualFunc(o.secrets, p.secrets, func(a, b directory.Secret) bool { return bytes.Equal(a, b) })
}

// A kind says how one list (or one single value) of the aggregate A is kept.
type kind[A any] struct {
	code   int // of column kind; never reused
	encode func(*A) ([]object, error)
	decode func(*A, object) error
	// stamp gives new elements an identity, and sets the times of those that are
	// new or differ from old. Both lists are encoded, by id.
	stamp func(a *A, old map[string]object, now time.Time) error
}

// traits are what a list needs to know of its elements.
type traits[T any] struct {
	id     func(*T) string
	common func(*T) *directory.Common // nil: no identity and times to be kept
	secret func(*T) *directory.Secret // nil: none
}

func list[A, T any](code int, field func(*A) *[]T, t traits[T]) kind[A] {
	if t.common != nil {
		t.id = func(v *T) string { return t.common(v).GUID }
	}
	one := func(v *T) (object, error) {
		body, err := json.Marshal(v)
		o := object{kind: code, id: t.id(v), body: body}
		if t.secret != nil && len(*t.secret(v)) > 0 {
			o.secrets = []directory.Secret{*t.secret(v)}
		}
		return o, err
	}
	return kind[A]{
		code: code,
		encode: func(a *A) ([]object, error) {
			var out []object
			for i := range *field(a) {
				o, err := one(&(*field(a))[i])
				if err != nil {
					return nil, err
				}
				out = append(out, o)
			}
			return out, nil
		},
		decode: func(a *A, o object) error {
			var v T
			if err := json.Unmarshal(o.body, &v); err != nil {
				return err
			}
			if len(o.secrets) > 0 {
				*t.secret(&v) = o.secrets[0]
			}
			*field(a) = append(*field(a), v)
			return nil
		},
		stamp: func(a *A, old map[string]object, now time.Time) error {
			if t.common == nil {
				return nil
			}
			for i := range *field(a) {
				v := &(*field(a))[i]
				c := t.common(v)
				if c.GUID == "" {
					c.GUID = uuid.NewString()
				}
				o, err := one(v)
				if err != nil {
					return err
				}
				was, known := old[c.GUID]
				if known && o.equal(was) {
					continue
				}
				if c.WhenChanged = now; !known {
					c.WhenCreated = now
				}
			}
			return nil
		},
	}
}

func single[A, T any](code int, field func(*A) *T, times func(*T) (created, changed *time.Time)) kind[A] {
	encode := func(a *A) ([]object, error) {
		body, err := json.Marshal(field(a))
		return []object{{kind: code, body: body}}, err
	}
	return kind[A]{
		code:   code,
		encode: encode,
		decode: func(a *A, o object) error { return json.Unmarshal(o.body, field(a)) },
		stamp: func(a *A, old map[string]object, now time.Time) error {
			if times == nil {
				return nil
			}
			o, err := encode(a)
			if err != nil {
				return err
			}
			was, known := old[""]
			if known && o[0].equal(was) {
				return nil
			}
			created, changed := times(field(a))
			if *changed = now; !known {
				*created = now
			}
			return nil
		},
	}
}

// An objectTable keeps the objects of one kind of aggregate.
type objectTable[A any] struct {
	name, owner string // table, and column of the aggregate's id
	kinds       []kind[A]
}

// rows reads the objects of one aggregate, opened, in the order of their lists.
func (t *objectTable[A]) rows(ctx context.Context, q querier, s *sealer, owner string) ([]object, error) {
	rows, err := q.QueryContext(ctx, fmt.Sprintf(
		`SELECT kind, object_id, position, body, sealed FROM %s WHERE %s = $1 ORDER BY kind, position, object_id`, t.name, t.owner), owner)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []object
	for rows.Next() {
		var o object
		var sealed string
		if err := rows.Scan(&o.kind, &o.id, &o.position, &o.body, &sealed); err != nil {
			return nil, err
		}
		if o.secrets, err = s.open(t.place(owner, o), sealed); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

func (t *objectTable[A]) place(owner string, o object) string {
	return fmt.Sprintf("%s/%s/%d/%s", t.name, owner, o.kind, o.id)
}

func (t *objectTable[A]) decode(a *A, rows []object) error {
	for _, o := range rows {
		i := slices.IndexFunc(t.kinds, func(k kind[A]) bool { return k.code == o.kind })
		if i < 0 {
			return fmt.Errorf("table %s: object %s is of the unknown kind %d", t.name, o.id, o.kind)
		}
		if err := t.kinds[i].decode(a, o); err != nil {
			return fmt.Errorf("table %s: object %s of kind %d: %w", t.name, o.id, o.kind, err)
		}
	}
	return nil
}

// byKind encodes a and gives each object the position of its row where the
// order of the list allows it, so that a removal does not rewrite what follows.
func (t *objectTable[A]) byKind(a *A, rows []object) (map[int]map[string]object, error) {
	type key struct {
		kind int
		id   string
	}
	at := map[key]int{}
	for _, o := range rows {
		at[key{o.kind, o.id}] = o.position
	}
	out := map[int]map[string]object{}
	for _, k := range t.kinds {
		objects, err := k.encode(a)
		if err != nil {
			return nil, err
		}
		out[k.code] = make(map[string]object, len(objects))
		last := 0
		for _, o := range objects {
			last = max(last+1, at[key{o.kind, o.id}])
			o.position = last
			out[k.code][o.id] = o
		}
	}
	return out, nil
}

// stamp sets identities and times of what is new in a or differs from old.
func (t *objectTable[A]) stamp(a, old *A, rows []object, now time.Time) error {
	was := map[int]map[string]object{}
	if len(rows) > 0 {
		var err error
		if was, err = t.byKind(old, rows); err != nil {
			return err
		}
	}
	for _, k := range t.kinds {
		if err := k.stamp(a, was[k.code], now); err != nil {
			return err
		}
	}
	return nil
}

// save writes what differs from rows and reports whether anything did. a is
// valid: its ids are unique.
func (t *objectTable[A]) save(ctx context.Context, tx *sql.Tx, s *sealer, owner string, a *A, rows []object) (bool, error) {
	now, err := t.byKind(a, rows)
	if err != nil {
		return false, err
	}
	changed := false
	for _, o := range rows {
		n, ok := now[o.kind][o.id]
		if ok && n.position == o.position && n.equal(o) {
			delete(now[o.kind], o.id)
			continue
		}
		changed = true
		if ok {
			continue // overwritten below
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE %s = $1 AND kind = $2 AND object_id = $3`, t.name, t.owner), owner, o.kind, o.id); err != nil {
			return false, err
		}
	}
	//nolint:gosec // the names come from the two tables of this file, not from outside
	upsert := fmt.Sprintf(`INSERT INTO %s (%s, kind, object_id, position, body, sealed) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (%s, kind, object_id) DO UPDATE SET position = excluded.position, body = excluded.body, sealed = excluded.sealed`, t.name, t.owner, t.owner)
	for _, objects := range now {
		for _, o := range objects {
			changed = true
			sealed, err := s.seal(t.place(owner, o), o.secrets)
			if err != nil {
				return false, err
			}
			if _, err := tx.ExecContext(ctx, upsert, owner, o.kind, o.id, o.position, string(o.body), sealed); err != nil {
				return false, err
			}
		}
	}
	return changed, nil
}
