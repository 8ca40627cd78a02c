package terminal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// What the history keeps: $MaximumHistoryCount lines, and of its file no more than fits in memory easily.
const (
	maxHistory      = 4096
	maxHistoryBytes = 4 << 20
)

// secrets finds lines that may hold a password or a key. It finds too many rather than too few.
var secrets = regexp.MustCompile(`(?i)asplaintext|securestring|passw|passphrase|-pas{1,2}\b|pwd|secret|symmetric|apikey|token|privatekey`)

// A history is the texts typed, for the editor. Its file holds one JSON string a line; texts that may hold secrets are
// not written to it and are forgotten with the shell. It implements readline.History.
type history struct {
	file  string // "": none
	texts []string
}

// openHistory reads a history and shortens its file when that has grown too long.
func openHistory(file string) (*history, error) {
	h := &history{file: file}
	if file == "" {
		return h, nil
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return h, os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err != nil {
		return h, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		err = f.Chmod(0o600) // whoever made it
	}
	if err == nil {
		_, err = f.Seek(max(0, size-maxHistoryBytes), io.SeekStart)
	}
	if err != nil {
		return h, fmt.Errorf("history: %w", err)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxHistoryBytes)
	for lines.Scan() {
		var text string
		if json.Unmarshal(lines.Bytes(), &text) == nil && text != "" { // a line that was cut is no loss
			h.texts = append(h.texts, text)
		}
	}
	if err := lines.Err(); err != nil {
		return h, fmt.Errorf("history: %w", err)
	}
	if len(h.texts) <= 2*maxHistory && size <= maxHistoryBytes {
		return h, nil
	}
	h.texts = h.texts[max(0, len(h.texts)-maxHistory):]
	return h, h.rewrite()
}

// rewrite replaces the file by what is kept.
func (h *history) rewrite() error {
	var b bytes.Buffer
	for _, t := range h.texts {
		b.Write(historyLine(t))
	}
	next := h.file + ".new"
	if err := os.WriteFile(next, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(next, h.file)
}

func historyLine(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil { // a string always is JSON
		return nil
	}
	return append(b, '\n')
}

// add keeps a text.
func (h *history) add(text string) error {
	text = strings.TrimSpace(text)
	if text == "" || len(h.texts) > 0 && h.texts[len(h.texts)-1] == text {
		return nil
	}
	h.texts = append(h.texts, text)
	if h.file == "" || secrets.MatchString(text) {
		return nil
	}
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(historyLine(text))
	return errors.Join(err, f.Close())
}

// Write does nothing: the editor stops writing when the user's inputrc says that a history is full.
func (h *history) Write(string) (int, error) { return len(h.texts), nil }

// GetLine is the text at position i; the oldest has position 0.
func (h *history) GetLine(i int) (string, error) {
	if i < 0 || i >= len(h.texts) {
		return "", fmt.Errorf("history: no text %d", i)
	}
	return h.texts[i], nil
}

// Len is the number of texts.
func (h *history) Len() int { return len(h.texts) }

// Dump is all texts.
func (h *history) Dump() any { return h.texts }
