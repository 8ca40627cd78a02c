package hybrid

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"busybridge/internal/admin"
)

// ErrNoJournal is wrapped when there is nothing to undo.
var ErrNoJournal = errors.New("nothing was applied")

const maxJournal = 16 << 20 // bytes

// A Journal is what was applied: before and after of every object, oldest first.
// It holds no secret.
type Journal struct {
	Changes []JournalChange `json:"changes"`
	// Pending is what a step was about to do when it was written.
	Pending *JournalChange `json:"pending,omitempty"`
}

// A JournalChange is one change and where.
type JournalChange struct {
	Step   string `json:"step"`
	Target target `json:"target"`
	admin.Change
}

// A JournalFile keeps a journal. What was written survives a crash.
type JournalFile string

// Read is the journal; one without changes where there is no file.
func (f JournalFile) Read() (*Journal, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return &Journal{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxJournal+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxJournal:
		return nil, fmt.Errorf("journal %s: more than %d bytes", f, maxJournal)
	}
	j := &Journal{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(j); err != nil {
		return nil, fmt.Errorf("journal %s: %w", f, err)
	}
	return j, nil
}

// Write replaces the file; an empty journal has none.
func (f JournalFile) Write(j *Journal) (err error) {
	if len(j.Changes) == 0 && j.Pending == nil {
		if err := os.Remove(string(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(filepath.Dir(string(f)))
	}
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	name := string(f) + ".new"
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(b, '\n'))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(name, string(f)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(string(f)))
}

func syncDir(name string) (err error) {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
