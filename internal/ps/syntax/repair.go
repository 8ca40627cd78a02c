package syntax

import (
	"strings"
	"unicode/utf8"
)

// A Change is one correction that Repair made.
type Change struct {
	Offset int    // in the text that was given
	Rule   string // a to f, as in the cmdlet reference 1.10
	Text   string // what was done, for the person who is asked
}

// Repair proposes a correction for a script that lost its line breaks on paste (cmdlet reference 1.10). ok means that
// fixed parses. A text that parses as it is comes back without changes. The command names of a session make rule e
// exact; without them a name counts as a command when it begins with an approved verb.
func Repair(src string) (fixed string, changes []Change, ok bool) { return RepairWith(src, nil) }

// RepairWith is Repair for a session that knows its commands.
func RepairWith(src string, known func(command string) bool) (fixed string, changes []Change, ok bool) {
	if _, err := Parse("", src); err == nil {
		return src, nil, true
	}
	if len(src) > MaxSource {
		return src, nil, false
	}
	if known == nil {
		known = looksLikeCommand
	}
	r := &repairer{src: strings.ToValidUTF8(src, "\uFFFD"), known: known, assigned: map[string]bool{}}
	r.run()
	fixed = r.out.String()
	_, err := Parse("", fixed)
	return fixed, r.changes, err == nil && len(r.changes) > 0
}

// verbs are the approved verbs that administration commands begin with.
var verbs = map[string]bool{"add": true, "clear": true, "connect": true, "convertfrom": true, "convertto": true, "copy": true, "disable": true,
	"disconnect": true, "enable": true, "enter": true, "exit": true, "export": true, "foreach": true, "format": true, "get": true, "import": true, "invoke": true,
	"join": true, "measure": true, "mount": true, "move": true, "new": true, "out": true, "read": true, "register": true, "remove": true, "rename": true,
	"resolve": true, "restart": true, "resume": true, "search": true, "select": true, "set": true, "sort": true, "split": true, "start": true, "stop": true,
	"suspend": true, "test": true, "update": true, "where": true, "write": true}

func looksLikeCommand(name string) bool {
	verb, noun, ok := strings.Cut(name, "-")
	return ok && noun != "" && verbs[strings.ToLower(verb)]
}

type repairer struct {
	src      string
	pos      int
	out      strings.Builder
	known    func(string) bool
	assigned map[string]bool // variables that had a value assigned, in lower case
	current  string          // the variable that the current statement assigns
	changes  []Change
}

func (r *repairer) peekAt(i int) rune {
	if i >= len(r.src) {
		return eof
	}
	c, _ := utf8.DecodeRuneInString(r.src[i:])
	return c
}

// last is the last character written that is no blank; 0 at the start of a line.
func (r *repairer) last() rune {
	s := strings.TrimRightFunc(r.out.String()[max(0, r.out.Len()-200):], isBlank)
	if s == "" {
		return 0
	}
	c, _ := utf8.DecodeLastRuneInString(s)
	return c
}

// split starts a new statement.
func (r *repairer) split(rule, text string) {
	s := strings.TrimRightFunc(r.out.String(), isBlank)
	r.out.Reset()
	r.out.WriteString(s + "\n")
	r.changes = append(r.changes, Change{r.pos, rule, text})
	r.current = ""
}

func (r *repairer) copy(to int) {
	r.out.WriteString(r.src[r.pos:to])
	r.pos = to
}

func (r *repairer) run() {
	for r.pos < len(r.src) {
		c := r.peekAt(r.pos)
		n := utf8.RuneLen(c)
		switch {
		case r.atLineStart() && r.loneDot():
		case isSingle(c), isDouble(c):
			r.copy(r.quoteEnd())
		case c == '#' && (r.pos == 0 || isBlank(r.before()) || isNewline(r.before()) || r.before() == ';'):
			end := strings.IndexAny(r.src[r.pos:], "\r\n")
			if end < 0 {
				end = len(r.src) - r.pos
			}
			r.copy(r.pos + end)
		case c == ';' || isNewline(c):
			r.current = ""
			r.copy(r.pos + n)
		case c == '$':
			r.variable()
		case c == '[' && (r.before() == ')' || isSingle(r.before()) || isDouble(r.before())) && r.staticCall():
			r.split("d", "a new statement before "+r.src[r.pos:r.typeEnd()])
			r.copy(r.typeEnd())
		case isIdentStart(c):
			r.name()
		default:
			r.copy(r.pos + n)
		}
	}
}

func (r *repairer) before() rune {
	c, _ := utf8.DecodeLastRuneInString(r.src[:r.pos])
	return c
}

func (r *repairer) atLineStart() bool {
	return r.pos == 0 || isNewline(r.before())
}

// loneDot drops a line that holds only a dot (rule a).
func (r *repairer) loneDot() bool {
	end := strings.IndexAny(r.src[r.pos:], "\r\n")
	if end < 0 {
		end = len(r.src) - r.pos
	}
	if strings.TrimFunc(r.src[r.pos:r.pos+end], isBlank) != "." {
		return false
	}
	r.changes = append(r.changes, Change{r.pos, "a", "a line with nothing but a dot dropped"})
	r.pos += end
	if strings.HasPrefix(r.src[r.pos:], "\r\n") {
		r.pos++
	}
	if r.pos < len(r.src) {
		r.pos++
	}
	return true
}

func (r *repairer) quoteEnd() int {
	open := r.peekAt(r.pos)
	i := r.pos + utf8.RuneLen(open)
	for i < len(r.src) {
		c := r.peekAt(i)
		i += utf8.RuneLen(c)
		switch {
		case isDouble(open) && c == '`' && i < len(r.src):
			i += utf8.RuneLen(r.peekAt(i))
		case isSingle(open) && isSingle(c), isDouble(open) && isDouble(c):
			return i
		}
	}
	return i
}

// word ends the identifier at i.
func (r *repairer) word(i int) int {
	for c := r.peekAt(i); isIdent(c); c = r.peekAt(i) {
		i += utf8.RuneLen(c)
	}
	return i
}

func (r *repairer) skipBlanks(i int) int {
	for c := r.peekAt(i); isBlank(c); c = r.peekAt(i) {
		i += utf8.RuneLen(c)
	}
	return i
}

func (r *repairer) variable() {
	end := r.word(r.pos + 1)
	if end == r.pos+1 {
		r.copy(end)
		return
	}
	name := strings.ToLower(r.src[r.pos+1 : end])
	after := r.skipBlanks(end)
	assigns := r.peekAt(after) == '=' && r.peekAt(after+1) != '='
	switch last := r.last(); {
	case assigns:
		// Rule b. A bracket in front may be the type of the variable.
		if last != 0 && !isNewline(last) && !strings.ContainsRune(";({|,=+-*/%&!]", last) && !isDash(last) && last != '`' {
			r.split("b", "a new statement before $"+r.src[r.pos+1:end]+" =")
		}
		r.current = name
		r.assigned[name] = true
		r.copy(after + 1)
		return
	case r.peekAt(end) == '.' && name == r.current && isIdent(r.before()):
		r.split("f", "a new statement before $"+r.src[r.pos+1:end]+".")
		r.copy(end)
		return
	case !r.assigned[name] && isDash(r.peekAt(end)):
		if cut := r.splitAt(end); cut > 0 {
			r.copy(cut)
			r.split("e", "a new statement behind "+r.src[r.start(cut):cut])
			return
		}
	}
	r.copy(end)
}

// start is where the variable that ends at cut begins.
func (r *repairer) start(cut int) int { return strings.LastIndexByte(r.src[:cut], '$') }

// splitAt finds where a variable name ends that runs into a command: the longest assigned name whose rest begins one.
func (r *repairer) splitAt(end int) int {
	noun := r.word(end + utf8.RuneLen(r.peekAt(end)))
	from := r.pos + 1
	for cut := end - 1; cut > from; cut-- {
		if !utf8.RuneStart(r.src[cut]) || !r.assigned[strings.ToLower(r.src[from:cut])] {
			continue
		}
		if r.known(r.src[cut:end] + "-" + r.src[end+utf8.RuneLen(r.peekAt(end)):noun]) {
			return cut
		}
	}
	return 0
}

// typeEnd is the end of the [Type]::Member( at pos, or pos when there is none.
func (r *repairer) typeEnd() int {
	i := r.pos + 1
	for c := r.peekAt(i); isIdent(c) || c == '.'; c = r.peekAt(i) {
		i += utf8.RuneLen(c)
	}
	if !strings.HasPrefix(r.src[i:], "]::") {
		return r.pos
	}
	end := r.word(i + 3)
	if r.peekAt(end) != '(' {
		return r.pos
	}
	return end
}

func (r *repairer) staticCall() bool { return r.typeEnd() > r.pos }

// name copies an identifier; if( or foreach( glued to its end begins a statement (rule c).
func (r *repairer) name() {
	end := r.word(r.pos)
	w := strings.ToLower(r.src[r.pos:end])
	if r.peekAt(end) == '(' && w != "elseif" {
		for _, key := range []string{"foreach", "if"} {
			if len(w) > len(key) && strings.HasSuffix(w, key) && len(w) == end-r.pos {
				r.copy(end - len(key))
				r.split("c", "a new statement before "+key+"(")
				r.copy(end)
				return
			}
		}
	}
	r.copy(end)
}
