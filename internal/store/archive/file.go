package archive

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"busybridge/internal/store/sqlstore"
)

// A file begins with magic; what follows is compressed: a header, the rows of each
// table, and after them their Sum.
const magic = "busybridge archive 1\n"

// What comes next in a file.
const (
	nextRow   = 'r'
	nextTable = 't' // after a table, its Sum before it
	nextEnd   = 'e' // the file is whole
)

// The limits of what is read of a file.
const (
	maxHeader = 1 << 20
	maxValue  = 1 << 28
)

// ErrDamaged is wrapped when a file is no archive, or not a whole one.
var ErrDamaged = errors.New("the archive is damaged")

// A Header says what a file holds.
type Header struct {
	At     time.Time
	Of     string // what it was made of
	Tables []Table
}

// Backup writes what a database holds into a new file, for its owner only, which
// appears when it is whole and was read again.
func Backup(ctx context.Context, name string, from *sqlstore.Database, of string, now time.Time, p Progress) (sums map[string]Sum, err error) {
	if _, err := os.Lstat(name); err == nil {
		return nil, fmt.Errorf("%s: %w", name, os.ErrExist)
	}
	m, err := newMoment(ctx, from)
	if err != nil {
		return nil, err
	}
	defer m.close()
	f, err := os.CreateTemp(filepath.Dir(name), ".busybridge-backup-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}()
	if sums, err = write(ctx, f, m, Header{At: now.UTC(), Of: of, Tables: m.list}, p); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	_, again, err := Verify(ctx, f.Name(), p)
	if err != nil {
		return nil, fmt.Errorf("what was written is read again: %w", err)
	}
	for table, sum := range sums {
		if again[table] != sum {
			return nil, fmt.Errorf("what was written is read again: table %s: %w", table, ErrDamaged)
		}
	}
	return sums, os.Link(f.Name(), name) // which never replaces a file
}

func write(ctx context.Context, to io.Writer, from source, h Header, p Progress) (map[string]Sum, error) {
	if _, err := io.WriteString(to, magic); err != nil {
		return nil, err
	}
	z, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(z, 1<<16)
	header, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(header))), header...)); err != nil {
		return nil, err
	}
	sums := map[string]Sum{}
	for i := range h.Tables {
		t := &h.Tables[i]
		s := newSummer()
		for r, err := range from.rows(ctx, t, nil, 0) {
			if err == nil {
				_, err = w.Write(append([]byte{nextRow}, s.add(r)...))
			}
			if err != nil {
				return nil, err
			}
			p.at("write", t.Name, s.rows)
		}
		sum := s.sum()
		sums[t.Name] = sum
		if _, err := w.Write(append(binary.AppendUvarint([]byte{nextTable}, uint64(sum.Rows)), sum.SHA256[:]...)); err != nil {
			return nil, err
		}
	}
	return sums, errors.Join(w.WriteByte(nextEnd), w.Flush(), z.Close())
}

// Verify reads a file to its end and compares all sums.
func Verify(ctx context.Context, name string, p Progress) (h Header, sums map[string]Sum, err error) {
	r, err := openFile(name)
	if err != nil {
		return h, nil, err
	}
	defer func() { err = errors.Join(err, r.file.Close()) }()
	sums = map[string]Sum{}
	for i := range r.header.Tables {
		t := &r.header.Tables[i]
		var n int64
		sum, err := sumOf(r.rows(ctx, t, nil, 0), func() { n++; p.at("verify", t.Name, n) })
		if err != nil {
			return h, nil, fmt.Errorf("%s: %w", name, err)
		}
		sums[t.Name] = sum
	}
	return r.header, sums, r.whole()
}

// Restore fills an empty database, or one that Restore was filling, from a file.
func Restore(ctx context.Context, to *sqlstore.Database, name string, p Progress) (h Header, sums map[string]Sum, err error) {
	if h, _, err = Verify(ctx, name, p); err != nil {
		return h, nil, err
	}
	sums, err = fill(ctx, to, &fileSource{name: name, header: h}, fmt.Sprintf("a backup of %s, made %s", h.Of, h.At.Format(time.RFC3339Nano)), p)
	return h, sums, err
}

// A fileSource reads a file, again for each table.
type fileSource struct {
	name   string
	header Header
}

func (f *fileSource) tables() []Table { return f.header.Tables }

func (f *fileSource) rows(ctx context.Context, t *Table, after row, skip int64) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		r, err := openFile(f.name)
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.file.Close()
		for i := range r.header.Tables {
			is := &r.header.Tables[i]
			for row, err := range r.rows(ctx, is, nil, 0) {
				if err != nil || is.Name == t.Name && (after == nil || skip <= 0) {
					if !yield(row, err) || err != nil {
						return
					}
				}
				if is.Name == t.Name {
					skip--
				}
			}
			if is.Name == t.Name {
				return
			}
		}
	}
}

// A reader reads a file from its begin to its end.
type reader struct {
	file   *os.File
	z      *gzip.Reader
	in     *bufio.Reader
	header Header
}

func openFile(name string) (*reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	r := &reader{file: f}
	if err := r.begin(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %w", name, ErrDamaged, err), f.Close())
	}
	return r, nil
}

func (r *reader) begin(from io.Reader) (err error) {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(from, head); err != nil || string(head) != magic {
		return errors.New("it does not begin as one")
	}
	if r.z, err = gzip.NewReader(bufio.NewReader(from)); err != nil {
		return err
	}
	r.in = bufio.NewReaderSize(r.z, 1<<16)
	data, err := r.bytes(maxHeader)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &r.header); err != nil {
		return err
	}
	if len(r.header.Tables) == 0 || len(r.header.Tables) > 1000 {
		return fmt.Errorf("it has %d tables", len(r.header.Tables))
	}
	for _, t := range r.header.Tables {
		if len(t.Columns) == 0 || len(t.Columns) > 1000 {
			return fmt.Errorf("table %s has %d columns", t.Name, len(t.Columns))
		}
	}
	return nil
}

// bytes reads what its length stands before. It takes no memory for what is not there.
func (r *reader) bytes(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("a value has %d bytes, at most %d", n, limit)
	}
	data, err := io.ReadAll(io.LimitReader(r.in, int64(n)))
	if err == nil && uint64(len(data)) < n {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}

func (r *reader) value() (any, error) {
	tag, err := r.in.ReadByte()
	if err != nil {
		return nil, err
	}
	switch tag {
	case isNull:
		return nil, nil
	case isFalse, isTrue:
		return tag == isTrue, nil
	case isInt:
		return binary.ReadVarint(r.in)
	case isText:
		b, err := r.bytes(maxValue)
		return string(b), err
	case isBytes:
		return r.bytes(maxValue)
	}
	return nil, fmt.Errorf("a value has the unknown tag %d", tag)
}

// rows yields the rows of the table that comes next, and compares its sum.
func (r *reader) rows(ctx context.Context, t *Table, _ row, _ int64) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		s, values := newSummer(), make(row, len(t.Columns))
		for {
			next, err := r.in.ReadByte()
			if err == nil && next == nextTable {
				if err = r.compare(s.sum()); err == nil {
					return
				}
			}
			if err == nil && next != nextRow {
				err = fmt.Errorf("%q comes where a row or the end of the table should", next)
			}
			for i := range values {
				if err == nil {
					values[i], err = r.value()
				}
			}
			if err == nil {
				err = normal(t, values)
			}
			if err != nil {
				yield(nil, fmt.Errorf("table %s, row %d: %w: %w", t.Name, s.rows+1, ErrDamaged, err))
				return
			}
			s.add(values)
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(values, nil) {
				return
			}
		}
	}
}

func (r *reader) compare(got Sum) error {
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return err
	}
	want := Sum{Rows: int64(n)}
	if _, err := io.ReadFull(r.in, want.SHA256[:]); err != nil {
		return err
	}
	if got != want {
		return errors.New("its checksum is another one")
	}
	return nil
}

// whole reports whether the file ends where it should.
func (r *reader) whole() error {
	next, err := r.in.ReadByte()
	if err == nil && next != nextEnd {
		err = fmt.Errorf("%q comes where the end should", next)
	}
	if err == nil {
		if _, err = r.in.ReadByte(); err == nil {
			err = errors.New("something comes after its end")
		}
		if errors.Is(err, io.EOF) {
			return nil // gzip has compared its own checksum
		}
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
