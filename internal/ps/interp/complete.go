package interp

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"busybridge/internal/ps/object"
)

// A Completion is what the text from Start to End can become. Positions are byte offsets in the line.
type Completion struct {
	Start, End int
	Items      []CompletionItem
}

// A CompletionItem is one way to go on.
type CompletionItem struct {
	Text  string // replaces the text, quoted where it has to be
	Label string // for a menu
	Kind  string // Command, Function, Alias, Parameter, Operator, Value, Variable, Member, Type or Path
	Help  string // one line; "" when there is none
}

// A Lister is Files that tell what is in a folder; the names of folders end with a backslash. Without it, paths are
// not completed.
type Lister interface {
	List(dir string) ([]string, error)
}

// Limits of a completion.
const (
	maxCompleteLine = 64 << 10
	maxCompletions  = 1000
)

// Complete proposes how the word that ends at byte pos of line can go on. It runs no script code: a value is known only
// when it is kept in a variable.
func (s *Session) Complete(line string, pos int) Completion {
	pos = max(0, min(pos, len(line)))
	none := Completion{Start: pos, End: pos}
	if pos > maxCompleteLine {
		return none
	}
	l := &lineScan{text: line[:pos]}
	if !l.scan() {
		return none
	}
	c := &completer{s: s, f: l.frames[len(l.frames)-1], start: pos}
	c.word(l.open)
	if len(c.items) > maxCompletions {
		c.items = c.items[:maxCompletions]
	}
	return Completion{Start: c.start, End: pos, Items: c.items}
}

// A lineWord is a word of a command as it stands, which may be unfinished.
type lineWord struct {
	start int
	raw   string // as written
	text  string // without quotes and backticks
	quote rune   // of a string that has no end yet
	group bool   // a bracketed part is in it
	comma bool   // it is the comma of a list
}

// A lineFrame is the statement at work in one level of brackets.
type lineFrame struct {
	words []lineWord
	hash  bool // inside @{ }: keys come first
}

// A lineScan reads a line up to the cursor. It knows just enough of the language to tell commands from arguments, also
// where the text is not finished.
type lineScan struct {
	text   string
	frames []*lineFrame
	open   *lineWord // the word at the cursor, nil between words
}

func (l *lineScan) top() *lineFrame { return l.frames[len(l.frames)-1] }

// finish ends the open word.
func (l *lineScan) finish() {
	if l.open != nil {
		l.top().words = append(l.top().words, *l.open)
		l.open = nil
	}
}

// reset begins a new statement or pipeline element.
func (l *lineScan) reset() {
	l.finish()
	l.top().words = nil
}

func (l *lineScan) add(at int, raw, text string) {
	if l.open == nil {
		l.open = &lineWord{start: at}
	}
	l.open.raw += raw
	l.open.text += text
}

const (
	singleQuotes = "'\u2018\u2019\u201a\u201b"
	doubleQuotes = "\"\u201c\u201d\u201e"
	dashes       = "-\u2013\u2014\u2015"
)

// assigns reports whether = behind the words of a frame makes an assignment.
func (l *lineScan) assigns() bool {
	f := l.top()
	words := f.words
	if l.open != nil {
		words = append(slices.Clone(words), *l.open)
	}
	if len(words) == 0 {
		return false
	}
	for _, w := range words {
		if f.hash || w.comma || strings.HasPrefix(w.raw, "$") || strings.HasPrefix(w.raw, "[") || strings.Trim(w.raw, "+-*/%") == "" {
			continue
		}
		return false
	}
	return true
}

// scan reads the text; false means that nothing can be completed at its end: it is in a comment or a here-string.
func (l *lineScan) scan() bool {
	l.frames = []*lineFrame{{}}
	for i := 0; i < len(l.text); {
		r, n := utf8.DecodeRuneInString(l.text[i:])
		rest := l.text[i:]
		switch {
		case r == '#' && l.open == nil:
			end := strings.IndexAny(rest, "\r\n")
			if end < 0 {
				return false
			}
			n = end
		case strings.HasPrefix(rest, "<#") && l.open == nil:
			end := strings.Index(rest, "#>")
			if end < 0 {
				return false
			}
			n = end + 2
		case r == '@' && l.open == nil && len(rest) > 2 && strings.ContainsRune(`'"`, rune(rest[1])) && (rest[2] == '\n' || rest[2] == '\r'):
			end := strings.Index(rest, "\n"+rest[1:2]+"@")
			if end < 0 {
				return false
			}
			n = end + 3
			l.add(i, rest[:n], "")
			l.finish()
		case r == '\n' || r == ';' || r == '|' || r == '&':
			l.reset()
		case unicode.IsSpace(r) || r == 0x85:
			l.finish()
		case strings.HasPrefix(rest, "`\n") || strings.HasPrefix(rest, "`\r\n"): // the line goes on
			n = strings.IndexByte(rest, '\n') + 1
			l.finish()
		case r == '`':
			_, next := utf8.DecodeRuneInString(rest[1:])
			n += next
			l.add(i, rest[:n], rest[1:n])
		case strings.ContainsRune(singleQuotes, r), strings.ContainsRune(doubleQuotes, r):
			n = l.quoted(i, r)
		case r == '{' && l.open != nil && strings.HasSuffix(l.open.raw, "$"): // ${any text}
			if n = strings.IndexByte(rest, '}') + 1; n == 0 {
				n = len(rest)
			}
			l.add(i, rest[:n], rest[:n])
		case r == '(' || r == '{':
			hash := r == '{' && l.open != nil && l.open.raw == "@"
			l.add(i, rest[:n], "")
			l.open.group = true
			l.finish()
			l.frames = append(l.frames, &lineFrame{hash: hash})
		case r == ')' || r == '}':
			l.close(r)
		case r == ',':
			l.finish()
			l.top().words = append(l.top().words, lineWord{start: i, raw: ",", comma: true})
		case r == '=' && l.assigns():
			l.reset()
			l.top().hash = false
		default:
			l.add(i, rest[:n], rest[:n])
		}
		i += n
	}
	return true
}

// quoted reads a quoted part that begins at i and gives its length.
func (l *lineScan) quoted(i int, q rune) int {
	set := singleQuotes
	if strings.ContainsRune(doubleQuotes, q) {
		set = doubleQuotes
	}
	rest := l.text[i:]
	var b strings.Builder
	at := utf8.RuneLen(q)
	for at < len(rest) {
		r, n := utf8.DecodeRuneInString(rest[at:])
		at += n
		switch {
		case r == '`' && set == doubleQuotes && at < len(rest):
			_, n := utf8.DecodeRuneInString(rest[at:])
			b.WriteString(rest[at : at+n])
			at += n
			continue
		case strings.ContainsRune(set, r):
			next, n := utf8.DecodeRuneInString(rest[at:])
			if at < len(rest) && strings.ContainsRune(set, next) {
				at += n
				break
			}
			l.add(i, rest[:at], b.String())
			return at
		}
		b.WriteString(string(r))
	}
	l.add(i, rest, b.String())
	l.open.quote = q
	return len(rest)
}

// close leaves a bracket: what stands in it is a part of a word of the level around it.
func (l *lineScan) close(r rune) {
	if len(l.frames) == 1 {
		l.reset()
		return
	}
	l.frames = l.frames[:len(l.frames)-1]
	f := l.top()
	last := len(f.words) - 1
	w := f.words[last]
	w.raw += string(r)
	f.words = f.words[:last]
	if r == '}' {
		f.words = append(f.words, w)
		if _, is := blockKeywords[strings.ToLower(f.words[0].raw)]; is || len(f.words) == 1 && w.raw == "{}" {
			f.words = nil // the statement is over
		}
		return
	}
	l.open = &w
}

// blockKeywords begin statements that end with a block; flowKeywords stand before a command.
var (
	blockKeywords = words("if elseif else while foreach for do switch try catch finally function filter trap begin process end until")
	flowKeywords  = words("return throw in exit")
)

func words(list string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, w := range strings.Fields(list) {
		m[w] = struct{}{}
	}
	return m
}

// A completer collects what fits one word.
type completer struct {
	s     *Session
	f     *lineFrame
	start int // where the text to replace begins
	items []CompletionItem
}

// add adds an item unless it is there.
func (c *completer) add(it CompletionItem) {
	if it.Label == "" {
		it.Label = it.Text
	}
	it.Help, _, _ = strings.Cut(it.Help, "\n")
	if !slices.ContainsFunc(c.items, func(x CompletionItem) bool { return strings.EqualFold(x.Text, it.Text) }) {
		c.items = append(c.items, it)
	}
}

// word decides what the word can be.
func (c *completer) word(w *lineWord) {
	if w == nil {
		w = &lineWord{start: c.start}
	}
	raw := w.raw
	if strings.ContainsRune(doubleQuotes, w.quote) && w.quote != 0 { // a variable in a text
		if i := strings.LastIndexByte(raw, '$'); i >= 0 && !strings.ContainsAny(raw[i:], ` \/.`) {
			c.start = w.start + i
			c.variables(raw[i:])
			return
		}
	}
	switch {
	case w.quote == 0 && strings.HasPrefix(raw, "["):
		c.typeWord(w)
		return
	case w.quote == 0 && (strings.HasPrefix(raw, "$") || w.group):
		if !strings.ContainsAny(raw, `\/`) {
			c.variableWord(w)
			return
		}
	}
	words := c.f.words
	for len(words) > 0 {
		low := strings.ToLower(words[0].raw)
		_, flow := flowKeywords[low]
		if !flow && low != "." {
			break
		}
		words = words[1:]
	}
	if i := slices.IndexFunc(words, func(w lineWord) bool { return strings.EqualFold(w.raw, "in") }); i == 1 && strings.HasPrefix(words[0].raw, "$") {
		words = words[2:] // foreach ($x in …
	}
	switch {
	case c.f.hash:
	case len(words) == 0:
		c.commands(w)
	case words[0].group && words[0].quote == 0 || strings.ContainsAny(words[0].raw[:1], `$['"0123456789`):
		c.operators(w)
	default:
		c.argument(words, w)
	}
}

// matcher tells whether a name goes on as prefix does, which may be a wildcard pattern.
func matcher(prefix string) func(name string) bool {
	if object.HasWildcard(prefix) {
		return func(name string) bool { return object.Like(name, prefix+"*") }
	}
	return func(name string) bool { return hasPrefixFold(name, prefix) }
}

// commands completes the name of a command.
func (c *completer) commands(w *lineWord) {
	c.start = w.start
	if strings.ContainsAny(w.text, `\/`) || strings.HasPrefix(w.text, ".") {
		c.paths(w, true)
		return
	}
	if w.quote != 0 {
		return
	}
	fits := matcher(w.text)
	for _, cmd := range c.s.Commands() {
		if fits(cmd.Name) {
			c.add(CompletionItem{Text: cmd.Name, Kind: "Command", Help: cmd.Synopsis})
		}
	}
	for _, f := range c.s.functions {
		if fits(f.name) {
			c.add(CompletionItem{Text: f.name, Kind: "Function"})
		}
	}
	slices.SortStableFunc(c.items, byText)
	if w.text == "" {
		return
	}
	n := len(c.items)
	for a, target := range c.s.aliases {
		if cmd := c.s.Lookup(target); cmd != nil && fits(a) {
			c.add(CompletionItem{Text: a, Label: a + " -> " + target, Kind: "Alias", Help: cmd.Synopsis})
		}
	}
	slices.SortStableFunc(c.items[n:], byText)
}

func byText(a, b CompletionItem) int {
	return strings.Compare(strings.ToLower(a.Text), strings.ToLower(b.Text))
}

// shellOperators are the operators that an expression can go on with.
var shellOperators = strings.Fields("-eq -ne -gt -ge -lt -le -like -notlike -match -notmatch -contains -notcontains -in -notin -replace -split -join -is -isnot -as -and -or -xor -not -band -bor -bxor -shl -shr -f")

func (c *completer) operators(w *lineWord) {
	prefix, ok := dashed(w.raw)
	if !ok {
		return
	}
	c.start = w.start
	for _, op := range shellOperators {
		if hasPrefixFold(op[1:], prefix) {
			c.add(CompletionItem{Text: op, Kind: "Operator"})
		}
	}
}

// dashed cuts the dash of a parameter.
func dashed(s string) (string, bool) {
	r, n := utf8.DecodeRuneInString(s)
	if s == "" || !strings.ContainsRune(dashes, r) {
		return s, false
	}
	return s[n:], true
}

// argument completes a parameter or its value.
func (c *completer) argument(words []lineWord, w *lineWord) {
	name := words[0].text
	b := c.s.bindingOf(name)
	if b == nil {
		c.start = w.start
		c.paths(w, false)
		return
	}
	if prefix, ok := dashed(w.raw); ok && w.quote == 0 {
		if param, value, colon := strings.Cut(prefix, ":"); colon {
			cut := len(w.raw) - len(value)
			p, err := b.find(param)
			if err == nil && p != nil {
				c.values(p, &lineWord{start: w.start + cut, raw: value, text: strings.Trim(value, `'"`)}, true)
			}
			return
		}
		c.parameters(b, words, w, prefix)
		return
	}
	c.values(parameterAt(b, words), w, false)
}

// bindingOf is the parameters of a command, for look-ups; nil when there is no such command.
func (s *Session) bindingOf(name string) *binding {
	if cmd := s.Lookup(name); cmd != nil {
		return &binding{command: cmd.Name, params: cmd.params, common: CommonParams(cmd.ShouldProcess)}
	}
	f := s.functions[strings.ToLower(name)]
	if f == nil {
		return nil
	}
	b := &binding{command: f.name, params: f.params}
	if f.advanced {
		b.common = CommonParams(f.shouldProcess)
	}
	return b
}

func (c *completer) parameters(b *binding, words []lineWord, w *lineWord, prefix string) {
	c.start = w.start
	given := map[*Param]bool{}
	for _, x := range words[1:] {
		if n, ok := dashed(x.raw); ok {
			n, _, _ = strings.Cut(n, ":")
			if p, err := b.find(n); err == nil && p != nil {
				given[p] = true
			}
		}
	}
	for _, p := range b.all() {
		if given[p] || !hasPrefixFold(p.Name, prefix) {
			continue
		}
		label := "-" + p.Name
		if !p.Switch {
			label += " <" + p.shortType() + ">"
		}
		c.add(CompletionItem{Text: "-" + p.Name, Label: label, Kind: "Parameter", Help: p.Help})
	}
}

// parameterAt is the parameter that the word behind words belongs to, nil when unknown.
func parameterAt(b *binding, words []lineWord) *Param {
	taken := map[*Param]bool{}
	var last *Param // waits for its value
	list := false   // a comma says that the value goes on
	var current *Param
	position := 0
	next := func() *Param {
		for ; ; position++ {
			i := slices.IndexFunc(b.params, func(p *Param) bool { return p.Position == position && !taken[p] })
			if i >= 0 {
				return b.params[i]
			}
			if !slices.ContainsFunc(b.params, func(p *Param) bool { return p.Position >= position }) {
				return nil
			}
		}
	}
	for _, w := range words[1:] {
		name, isName := dashed(w.raw)
		switch {
		case w.comma:
			list = true
			continue
		case list:
			list = false
			continue
		case isName && !w.group && len(name) > 0 && !unicode.IsDigit(rune(name[0])):
			name, _, colon := strings.Cut(name, ":")
			p, err := b.find(name)
			last = nil
			if err == nil && p != nil {
				taken[p] = true
				if !p.Switch && !colon {
					last = p
				}
			}
			current = nil
			continue
		case last != nil:
			current, last = last, nil
		default:
			if current = next(); current != nil {
				taken[current] = true
			}
		}
	}
	switch {
	case list:
		return current
	case last != nil:
		return last
	}
	return next()
}

// values completes a value of a parameter.
func (c *completer) values(p *Param, w *lineWord, colon bool) {
	c.start = w.start
	if p == nil {
		c.paths(w, false)
		return
	}
	fits := matcher(w.text)
	add := func(text string) {
		if fits(strings.TrimPrefix(text, "$")) || fits(text) {
			if text[0] != '$' {
				text = quoteWord(text, w.quote)
			}
			c.add(CompletionItem{Text: text, Kind: "Value"})
		}
	}
	t := p.Type
	if t != nil && t.Elem != nil {
		t = t.Elem
	}
	switch {
	case len(p.Values) > 0:
		for _, v := range p.Values {
			add(v)
		}
	case t == object.TBool, p.Switch && colon:
		add("$true")
		add("$false")
	case t != nil && len(t.Enum) > 0:
		for _, n := range t.Enum {
			add(n.Name)
		}
	case c.commandNames(p):
		for _, cmd := range c.s.Commands() {
			if fits(cmd.Name) {
				c.add(CompletionItem{Text: cmd.Name, Kind: "Command", Help: cmd.Synopsis})
			}
		}
	case t == nil || t == object.TString || t == object.TObject:
		c.paths(w, false)
	}
}

// commandNames reports whether p names commands.
func (c *completer) commandNames(p *Param) bool {
	for _, name := range []string{"Get-Help", "Get-Command"} {
		if cmd := c.s.Lookup(name); cmd != nil && p.Name == "Name" && slices.Contains(cmd.params, p) {
			return true
		}
	}
	return false
}

// quoteWord quotes text when a word could not hold it, or when a quote is open.
func quoteWord(text string, open rune) string {
	if strings.ContainsRune(doubleQuotes, open) && open != 0 {
		return `"` + strings.NewReplacer("`", "``", `"`, "`\"", "$", "`$").Replace(text) + `"`
	}
	if open != 0 || strings.ContainsAny(text, " \t'\"`$(){};,|&@#<>"+singleQuotes+doubleQuotes) || text == "" {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return text
}

// paths completes the name of a file or folder.
func (c *completer) paths(w *lineWord, command bool) {
	files, ok := c.s.cfg.Files.(Lister)
	if !ok || w.group || strings.Contains(w.raw, "$") {
		return
	}
	dir, name := "", w.text
	if i := strings.LastIndexAny(w.text, `\/:`); i >= 0 {
		dir, name = w.text[:i+1], w.text[i+1:]
	}
	list, err := files.List(c.s.cfg.Files.FullName(dir))
	if err != nil {
		return // a folder that is not there has no names
	}
	fits := matcher(name)
	for _, n := range list {
		if !fits(n) || command && !strings.HasSuffix(n, `\`) && !hasSuffixFold(n, ".ps1") {
			continue
		}
		text := quoteWord(dir+n, w.quote)
		if command && text != dir+n {
			if w.quote != 0 {
				continue
			}
			text = "& " + text
		}
		c.add(CompletionItem{Text: text, Label: n, Kind: "Path"})
	}
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// typeWord completes [name and [name]::member.
func (c *completer) typeWord(w *lineWord) {
	raw := w.raw
	if i := strings.Index(raw, "]::"); i > 0 && !strings.ContainsAny(raw[i+3:], ".:(") {
		t, ok := object.FindType(raw[1:i])
		if !ok {
			return
		}
		c.start = w.start + i + 3
		for _, n := range object.StaticNames(t) {
			if hasPrefixFold(n, raw[i+3:]) {
				c.add(CompletionItem{Text: n, Kind: "Member"})
			}
		}
		slices.SortStableFunc(c.items, byText)
		return
	}
	i := strings.LastIndexAny(raw, "[,") // casts and arguments follow each other
	if strings.Contains(raw[i:], "]") {
		return
	}
	prefix := raw[i+1:]
	c.start = w.start + i + 1
	for _, t := range object.KnownTypes() {
		switch {
		case t.Short != "" && hasPrefixFold(t.Short, prefix):
			c.add(CompletionItem{Text: t.Short, Kind: "Type", Help: t.Name})
		case hasPrefixFold(t.Name, prefix), prefix != "" && hasPrefixFold(strings.TrimPrefix(t.Name, "System."), prefix):
			c.add(CompletionItem{Text: t.Name, Kind: "Type"})
		}
	}
	slices.SortStableFunc(c.items, byText)
}

// variableWord completes $name and $name.member.
func (c *completer) variableWord(w *lineWord) {
	raw := w.raw
	dot := strings.LastIndexByte(raw, '.')
	if strings.HasPrefix(raw, "${") {
		dot = -1
	}
	if dot < 0 {
		if strings.ContainsAny(raw, "([}") {
			return
		}
		c.start = w.start
		c.variables(raw)
		return
	}
	prefix := raw[dot+1:]
	v, ok := c.known(raw[:dot])
	if !ok || strings.ContainsAny(prefix, "()[]{}") {
		return
	}
	c.start = w.start + dot + 1
	if items, is := object.Items(v); is && len(items) > 0 { // the members of the elements can be used, too
		c.members(items[0], prefix)
	}
	c.members(v, prefix)
}

// members completes a member of v; computed properties are not asked for their values.
func (c *completer) members(v any, prefix string) {
	add := func(text, label, help string) {
		if hasPrefixFold(label, prefix) {
			c.add(CompletionItem{Text: text, Label: label, Kind: "Member", Help: help})
		}
	}
	if h, ok := object.Base(v).(*object.Hashtable); ok {
		for _, k := range h.Keys() {
			if name, ok := k.(string); ok {
				add(quoteWord(name, 0), name, "")
			}
		}
	}
	if o, ok := v.(*object.Object); ok {
		for _, p := range o.Own() {
			switch {
			case p.Hidden || p.Kind == object.Method:
			case p.Get != nil:
				add(p.Name, p.Name, string(p.Kind))
			default:
				help := ""
				if t := object.TypeOf(p.Value); t != nil {
					help = "[" + t.Name + "]"
				}
				add(p.Name, p.Name, help)
			}
		}
		for _, low := range sortedKeys(o.Methods) {
			add(o.Methods[low].Name+"(", o.Methods[low].Name, "")
		}
		if v = o.Base; v == nil {
			v = object.New() // what every bag has
		}
	}
	for _, m := range object.Members(v) {
		text := m.Name
		if m.Kind == object.Method {
			text += "("
		}
		add(text, m.Name, m.Definition)
	}
}

// known is the value of $name.member[0].member when nothing has to run for it.
func (c *completer) known(path string) (any, bool) {
	if !strings.HasPrefix(path, "$") || strings.ContainsAny(path, "(){}\"'") {
		return nil, false
	}
	name, rest := path[1:], ""
	if i := strings.IndexAny(name, ".["); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	if _, after, ok := strings.Cut(name, ":"); ok {
		if hasPrefixFold(name, "env:") {
			text, ok := c.s.env[strings.ToLower(after)]
			return text, ok && rest == ""
		}
		name = after
	}
	found := c.s.global.find(name)
	if found == nil {
		return nil, false
	}
	v := found.value
	for rest != "" {
		if rest[0] == '[' {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, false
			}
			n, err := strconv.Atoi(rest[1:end])
			if err != nil {
				return nil, false
			}
			items, ok := object.Items(v)
			if n < 0 {
				n += len(items)
			}
			if !ok || n < 0 || n >= len(items) {
				return nil, false
			}
			v, rest = items[n], rest[end+1:]
			continue
		}
		rest = strings.TrimPrefix(rest, ".")
		member := rest
		if i := strings.IndexAny(rest, ".["); i >= 0 {
			member, rest = rest[:i], rest[i:]
		} else {
			rest = ""
		}
		if o, ok := v.(*object.Object); ok {
			if p := o.Property(member); p != nil && p.Get != nil {
				return nil, false // it is computed, maybe by a script
			}
		}
		next, ok := object.Get(v, member)
		if !ok {
			return nil, false
		}
		v = next
	}
	return v, v != nil
}

// variables completes $name; raw begins with the dollar sign.
func (c *completer) variables(raw string) {
	drive, prefix := "", raw[1:]
	braced := strings.HasPrefix(prefix, "{")
	prefix = strings.TrimPrefix(prefix, "{")
	if i := strings.IndexByte(prefix, ':'); i >= 0 {
		drive, prefix = prefix[:i+1], prefix[i+1:]
	}
	add := func(name string, v any, known bool) {
		if !hasPrefixFold(name, prefix) {
			return
		}
		full := drive + name
		if braced || strings.ContainsFunc(name, func(r rune) bool {
			return r != '_' && r != '?' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) {
			full = "{" + full + "}"
		}
		it := CompletionItem{Text: "$" + full, Kind: "Variable"}
		if known && v != nil {
			it.Help = "[" + object.TypeOf(v).Name + "]"
		}
		c.add(it)
	}
	if strings.EqualFold(drive, "env:") {
		for _, low := range sortedKeys(c.s.env) {
			add(c.s.envNames[low], nil, false)
		}
		return
	}
	for _, low := range sortedKeys(c.s.global.vars) {
		v := c.s.global.vars[low]
		add(v.name, v.value, true)
	}
	if drive == "" {
		for _, n := range []string{"_", "true", "false", "null", "LASTEXITCODE", "PWD", "env:", "args", "input", "PSItem", "MyInvocation", "PSBoundParameters", "PSScriptRoot"} {
			if n == "env:" {
				if hasPrefixFold(n, prefix) && prefix != "" {
					c.add(CompletionItem{Text: "$env:", Kind: "Variable"})
				}
				continue
			}
			add(n, nil, false)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
