package terminal

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/reeflective/readline"

	"busybridge/internal/ps/interp"
)

// complete is the editor's menu of what the session proposes. The editor takes only what begins with the text before the
// cursor, letter for letter, and leaves behind it what is there. So the line is changed first to what all proposals
// share: in their case, with their quotes.
func (e *editor) complete(line []rune, cursor int) readline.Completions {
	text := string(line)
	at := len(string(line[:cursor]))
	m := newMenu(text, at, e.shell.Session.Complete(text, at))
	if m.line != text {
		e.rl.Line().Set([]rune(m.line)...)
		e.rl.Cursor().Set(utf8.RuneCountInString(m.line[:m.cursor]))
	}
	width, height := screenSize(e.shell.Out)
	items, left := fit(m.items, width, height-strings.Count(m.line, "\n")-5)
	heading := ""
	if left > 0 {
		heading = fmt.Sprintf("%d more; type some letters", left)
	}
	list := make([]readline.Completion, len(items))
	for i, it := range items {
		list[i] = readline.Completion{Value: it.Text, Display: it.Label, Description: it.Help, Tag: heading}
	}
	c := readline.CompleteRaw(list).NoSort()
	c.PREFIX = m.prefix
	return c
}

// fit keeps as many items as rows of the screen can show, so that the line stays in sight: with their help one to a row,
// else without it. left is the number of those that had to go.
func fit(items []interp.CompletionItem, width, rows int) (kept []interp.CompletionItem, left int) {
	if rows = max(rows, 3); len(items) <= rows {
		return items, 0
	}
	longest := 0
	items = slices.Clone(items)
	for i := range items {
		items[i].Help = ""
		longest = max(longest, len(items[i].Label))
	}
	const gap = 4
	n := min(len(items), rows*max(1, width/(longest+gap)))
	return items[:n], len(items) - n
}

// A menu is proposals in the editor's terms.
type menu struct {
	line   string // what the line becomes before anything is chosen
	cursor int    // byte offset
	// prefix is cut off before the cursor and replaced by the Text of an item, which begins with it. The editor cuts
	// as many characters as it has bytes.
	prefix string
	items  []interp.CompletionItem
}

// newMenu makes the menu for the cursor at byte offset at.
func newMenu(line string, at int, c interp.Completion) menu {
	if c.Start < 0 || c.Start > at || c.End < at || c.End > len(line) || len(c.Items) == 0 {
		return menu{line: line, cursor: at}
	}
	items := quoteAlike(c.Items)
	n := shared(items)
	start, _ := cutRunes(items[0].Text, n)
	m := menu{line: line[:c.Start] + start + line[c.End:], cursor: c.Start + len(start)}
	if m.cursor == 0 && m.line != "" {
		return menu{line: line, cursor: at} // there is nothing to cut before the cursor
	}
	cut := start
	if utf8.RuneCountInString(start) != len(start) || start == "" {
		_, size := utf8.DecodeLastRuneInString(m.line[:m.cursor])
		cut = m.line[m.cursor-size : m.cursor]
	}
	m.prefix = cut[:utf8.RuneCountInString(cut)]
	for _, it := range items {
		_, rest := cutRunes(it.Text, n)
		it.Text = cut + rest
		m.items = append(m.items, it)
	}
	return m
}

// quoteAlike puts all proposals in quotes when one of them needs some, so that they begin alike.
func quoteAlike(items []interp.CompletionItem) []interp.CompletionItem {
	quoted := func(it interp.CompletionItem) bool {
		return it.Text != "" && strings.ContainsRune(`'"`, rune(it.Text[0]))
	}
	i := slices.IndexFunc(items, quoted)
	items = slices.Clone(items)
	for j := range items {
		if i >= 0 && !quoted(items[j]) {
			q := items[i].Text[:1]
			items[j].Text = q + items[j].Text + q
		}
	}
	return items
}

// shared is the number of characters that all texts begin with, in whatever case.
func shared(items []interp.CompletionItem) int {
	first := []rune(items[0].Text)
	n := len(first)
	for _, it := range items[1:] {
		text := []rune(it.Text)
		n = min(n, len(text))
		for i := range n {
			if !strings.EqualFold(string(first[i]), string(text[i])) {
				n = i
				break
			}
		}
	}
	return n
}

// cutRunes cuts s behind its first n characters.
func cutRunes(s string, n int) (before, after string) {
	end := 0
	for range n {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}
	return s[:end], s[end:]
}
