package interp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"busybridge/internal/ps/object"
)

// WhereObject is Where-Object (16.1).
type WhereObject struct {
	FilterScript *ScriptBlock  `ps:"FilterScript,mandatory,position=0,set=ScriptBlockSet" help:"A script block; objects for which it gives something true pass. $_ is the object."`
	Property     string        `ps:"Property,mandatory,position=0,set=EqualSet" help:"The property to look at."`
	Value        any           `ps:"Value,position=1,set=EqualSet,allownull" help:"What the property is compared with."`
	InputObject  any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`
	EQ           object.Switch `ps:"EQ,alias=IEQ,set=EqualSet" help:"Compares with -eq."`
	NE           object.Switch `ps:"NE,alias=INE,set=EqualSet" help:"Compares with -ne."`
	GT           object.Switch `ps:"GT,alias=IGT,set=EqualSet" help:"Compares with -gt."`
	GE           object.Switch `ps:"GE,alias=IGE,set=EqualSet" help:"Compares with -ge."`
	LT           object.Switch `ps:"LT,alias=ILT,set=EqualSet" help:"Compares with -lt."`
	LE           object.Switch `ps:"LE,alias=ILE,set=EqualSet" help:"Compares with -le."`
	Like         object.Switch `ps:"Like,alias=ILike,set=EqualSet" help:"Compares with -like."`
	NotLike      object.Switch `ps:"NotLike,alias=INotLike,set=EqualSet" help:"Compares with -notlike."`
	Match        object.Switch `ps:"Match,alias=IMatch,set=EqualSet" help:"Compares with -match."`
	NotMatch     object.Switch `ps:"NotMatch,alias=INotMatch,set=EqualSet" help:"Compares with -notmatch."`
	Contains     object.Switch `ps:"Contains,alias=IContains,set=EqualSet" help:"Compares with -contains."`
	NotContains  object.Switch `ps:"NotContains,alias=INotContains,set=EqualSet" help:"Compares with -notcontains."`
	In           object.Switch `ps:"In,alias=IIn,set=EqualSet" help:"Compares with -in."`
	NotIn        object.Switch `ps:"NotIn,alias=INotIn,set=EqualSet" help:"Compares with -notin."`
	CEQ          object.Switch `ps:"CEQ,set=EqualSet" help:"Compares with -ceq."`
	CNE          object.Switch `ps:"CNE,set=EqualSet" help:"Compares with -cne."`
	CGT          object.Switch `ps:"CGT,set=EqualSet" help:"Compares with -cgt."`
	CGE          object.Switch `ps:"CGE,set=EqualSet" help:"Compares with -cge."`
	CLT          object.Switch `ps:"CLT,set=EqualSet" help:"Compares with -clt."`
	CLE          object.Switch `ps:"CLE,set=EqualSet" help:"Compares with -cle."`
	CLike        object.Switch `ps:"CLike,set=EqualSet" help:"Compares with -clike."`
	CNotLike     object.Switch `ps:"CNotLike,set=EqualSet" help:"Compares with -cnotlike."`
	CMatch       object.Switch `ps:"CMatch,set=EqualSet" help:"Compares with -cmatch."`
	CNotMatch    object.Switch `ps:"CNotMatch,set=EqualSet" help:"Compares with -cnotmatch."`
	CContains    object.Switch `ps:"CContains,set=EqualSet" help:"Compares with -ccontains."`
	CNotContains object.Switch `ps:"CNotContains,set=EqualSet" help:"Compares with -cnotcontains."`
	CIn          object.Switch `ps:"CIn,set=EqualSet" help:"Compares with -cin."`
	CNotIn       object.Switch `ps:"CNotIn,set=EqualSet" help:"Compares with -cnotin."`
	Is           object.Switch `ps:"Is,set=EqualSet" help:"Compares with -is."`
	IsNot        object.Switch `ps:"IsNot,set=EqualSet" help:"Compares with -isnot."`

	op string // "": whether the property is true
}

// Begin finds the operator.
func (w *WhereObject) Begin(_ context.Context, c *Call) error {
	for op, on := range map[string]object.Switch{"-eq": w.EQ, "-ne": w.NE, "-gt": w.GT, "-ge": w.GE, "-lt": w.LT, "-le": w.LE, "-like": w.Like, "-notlike": w.NotLike,
		"-match": w.Match, "-notmatch": w.NotMatch, "-contains": w.Contains, "-notcontains": w.NotContains, "-in": w.In, "-notin": w.NotIn, "-ceq": w.CEQ,
		"-cne": w.CNE, "-clike": w.CLike, "-cnotlike": w.CNotLike, "-cmatch": w.CMatch, "-cnotmatch": w.CNotMatch, "-ccontains": w.CContains, "-cgt": w.CGT, "-cge": w.CGE, "-clt": w.CLT, "-cle": w.CLE, "-cnotcontains": w.CNotContains, "-cin": w.CIn, "-cnotin": w.CNotIn, "-is": w.Is, "-isnot": w.IsNot} {
		if on {
			w.op = op
		}
	}
	if w.op == "" && c.Bound("Value") {
		w.op = "-eq"
	}
	return nil
}

// Run passes the object on when the condition holds.
func (w *WhereObject) Run(_ context.Context, c *Call) error {
	ok, err := w.holds(c)
	if err != nil {
		return err
	}
	if ok {
		return c.Emit(w.InputObject)
	}
	return nil
}

func (w *WhereObject) holds(c *Call) (bool, error) {
	if w.FilterScript != nil {
		got, err := c.Block(w.FilterScript, w.InputObject)
		return object.Bool(object.Collapse(got)), err
	}
	v, _ := object.Get(w.InputObject, w.Property)
	if w.op == "" {
		return object.Bool(v), nil
	}
	r, err := c.e.operate(w.op, v, w.Value)
	return object.Bool(r), err
}

// ForEachObject is ForEach-Object (16.1).
type ForEachObject struct {
	Process          []*ScriptBlock `ps:"Process,position=0,set=ScriptBlockSet" help:"The block that runs for each object; $_ is the object. Two blocks are begin and process, three begin, process and end."`
	Begin_           *ScriptBlock   `ps:"Begin,set=ScriptBlockSet" help:"Runs before the first object."`
	End_             *ScriptBlock   `ps:"End,set=ScriptBlockSet" help:"Runs after the last object."`
	RemainingScripts []*ScriptBlock `ps:"RemainingScripts,rest,set=ScriptBlockSet" help:"Further blocks."`
	MemberName       string         `ps:"MemberName,position=0,set=PropertyAndMethodSet" help:"The property to give, or the method to call."`
	ArgumentList     []any          `ps:"ArgumentList,alias=Args,rest,set=PropertyAndMethodSet" help:"Arguments of the method."`
	InputObject      any            `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	begin, end *ScriptBlock
	process    []*ScriptBlock
}

// Begin sorts the blocks: two are begin and process, three begin, process and end.
func (f *ForEachObject) Begin(_ context.Context, c *Call) error {
	all := slices.Concat(f.Process, f.RemainingScripts)
	f.begin, f.end = f.Begin_, f.End_
	if f.begin == nil && len(all) > 1 {
		f.begin, all = all[0], all[1:]
	}
	if f.end == nil && len(all) > 1 {
		f.end, all = all[len(all)-1], all[:len(all)-1]
	}
	f.process = all
	if f.begin == nil {
		return nil
	}
	return c.e.runBlock(f.begin, nil, nil)
}

// Run does the work for one object.
func (f *ForEachObject) Run(_ context.Context, c *Call) error {
	if f.MemberName != "" {
		return f.member(c)
	}
	for _, b := range f.process {
		if err := c.e.runBlock(b, f.InputObject, nil); err != nil {
			return err
		}
	}
	return nil
}

func (f *ForEachObject) member(c *Call) error {
	if len(f.ArgumentList) == 0 {
		if v, ok := object.Get(f.InputObject, f.MemberName); ok {
			return c.EmitAll(v)
		}
	}
	v, err := object.CallMethod(c.e.s.ctxObj, f.InputObject, f.MemberName, f.ArgumentList)
	if err != nil {
		if len(f.ArgumentList) == 0 && object.AsRecord(err).ID == "MethodNotFound" {
			return c.Emit(nil)
		}
		return c.WriteError(err)
	}
	return c.EmitAll(v)
}

// End runs the end block.
func (f *ForEachObject) End(_ context.Context, c *Call) error {
	if f.end == nil {
		return nil
	}
	return c.e.runBlock(f.end, nil, nil)
}

// A column is a property of Select-Object, Sort-Object and the like: a name pattern or a calculated property.
type column struct {
	name       string
	block      *ScriptBlock
	descending *bool
	expand     bool
}

// columns reads property arguments.
func columns(props []any) ([]column, error) {
	var out []column
	for _, p := range props {
		switch b := object.Base(p).(type) {
		case *ScriptBlock:
			out = append(out, column{name: b.String(), block: b})
		case *object.Hashtable:
			col := column{}
			for k, v := range b.All() {
				key := strings.ToLower(object.String(k))
				is := func(names ...string) bool {
					return slices.ContainsFunc(names, func(n string) bool { return key != "" && strings.HasPrefix(n, key) })
				}
				switch {
				case is("name", "label"):
					col.name = object.String(v)
				case key == "e" || is("expression"):
					if sb, ok := object.Base(v).(*ScriptBlock); ok {
						col.block = sb
						if col.name == "" {
							col.name = sb.String()
						}
						continue
					}
					col.expand = true
					if col.name == "" {
						col.name = object.String(v)
					}
					source := object.String(v)
					col.block, col.expand = nil, false
					if !strings.EqualFold(source, col.name) {
						return nil, bindError("DictionaryKeyUnknown", "A calculated property needs a script block for Expression.")
					}
				case is("descending"):
					d := object.Bool(v)
					col.descending = &d
				case is("ascending"):
					d := !object.Bool(v)
					col.descending = &d
				case is("formatstring", "width", "alignment", "depth"):
				default:
					return nil, bindError("DictionaryKeyUnknown", "The %s key is not valid.", object.String(k))
				}
			}
			out = append(out, col)
		default:
			out = append(out, column{name: object.String(p)})
		}
	}
	return out, nil
}

// value is the column's value for v.
func (col column) value(c *Call, v any) (any, bool, error) {
	if col.block == nil {
		r, ok := object.Get(v, col.name)
		return r, ok, nil
	}
	got, err := c.Block(col.block, v)
	return object.Collapse(got), true, err
}

// SelectObject is Select-Object (16.1).
type SelectObject struct {
	Property        []any         `ps:"Property,position=0,wildcard" help:"The properties to keep: names, patterns, or @{Name='...'; Expression={...}}."`
	ExcludeProperty []string      `ps:"ExcludeProperty,wildcard" help:"Properties to leave out."`
	ExpandProperty  string        `ps:"ExpandProperty" help:"Gives the value of this property instead of objects, a collection element by element."`
	First           int           `ps:"First" help:"The first so many objects; what comes before in the pipeline ends then."`
	Last            int           `ps:"Last" help:"The last so many objects."`
	Skip            int           `ps:"Skip" help:"Leaves out so many objects at the beginning, or at the end with -Last."`
	SkipLast        int           `ps:"SkipLast" help:"Leaves out so many objects at the end."`
	Index           []int         `ps:"Index" help:"The objects at these places, counted from 0."`
	Unique          object.Switch `ps:"Unique" help:"Leaves out objects that were there before."`
	Wait            object.Switch `ps:"Wait" help:"Lets what comes before in the pipeline run to its end."`
	InputObject     any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	cols  []column
	shape *object.Shape // of what is selected from objects of type from
	from  string
	seen  int
	taken int
	tail  []any
	done  []any
}

// Begin reads the properties.
func (s *SelectObject) Begin(_ context.Context, c *Call) (err error) {
	s.cols, err = columns(s.Property)
	if err == nil && c.Bound("First") && s.First == 0 && !c.Bound("Last") {
		return c.Stop()
	}
	return err
}

// Run takes one object.
func (s *SelectObject) Run(_ context.Context, c *Call) error {
	i := s.seen
	s.seen++
	switch {
	case c.Bound("Index"):
		if !slices.Contains(s.Index, i) {
			return nil
		}
	case c.Bound("Last"):
		if c.Bound("First") && i < s.First {
			return s.emit(c, s.InputObject)
		}
		s.tail = append(s.tail, s.InputObject)
		if len(s.tail) > s.Last+s.Skip {
			s.tail = s.tail[1:]
		}
		return nil
	case c.Bound("SkipLast"):
		s.tail = append(s.tail, s.InputObject)
		if len(s.tail) <= s.SkipLast {
			return nil
		}
		v := s.tail[0]
		s.tail = s.tail[1:]
		return s.emit(c, v)
	case i < s.Skip:
		return nil
	}
	if err := s.emit(c, s.InputObject); err != nil {
		return err
	}
	s.taken++
	if c.Bound("First") && s.taken >= s.First && !bool(s.Wait) && c.Piped() {
		return c.Stop()
	}
	return nil
}

// End emits the last ones.
func (s *SelectObject) End(_ context.Context, c *Call) error {
	if !c.Bound("Last") {
		return nil
	}
	tail := s.tail
	if s.Skip > 0 {
		tail = tail[:max(0, len(tail)-s.Skip)]
	}
	for _, v := range tail {
		if err := s.emit(c, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *SelectObject) emit(c *Call, v any) error {
	if s.ExpandProperty != "" {
		r, ok := object.Get(v, s.ExpandProperty)
		if !ok {
			e := object.NewError("ExpandPropertyNotFound,Microsoft.PowerShell.Commands.SelectObjectCommand", object.InvalidArgument, object.TPSArgument, "Property \"%s\" cannot be found.", s.ExpandProperty)
			e.Target = v
			return c.WriteError(e)
		}
		items, ok := object.Items(r)
		if !ok {
			items = []any{r}
		}
		for _, item := range items {
			if len(s.cols) > 0 {
				o := object.Wrap(item)
				if o == object.Base(item) || o.Base == nil {
					o = o.Copy()
				}
				if err := s.fill(c, o, v); err != nil {
					return err
				}
				item = o
			}
			if err := s.out(c, item); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.cols) == 0 && len(s.ExcludeProperty) == 0 {
		return s.out(c, v)
	}
	if t := typeTitle(v); s.shape == nil || t != s.from {
		s.from, s.shape = t, object.NewShape(append([]string{"Selected." + t}, object.TCustom.Names()...)...)
	}
	o := s.shape.New()
	if err := s.fill(c, o, v); err != nil {
		return err
	}
	return s.out(c, o)
}

func typeTitle(v any) string {
	if names := object.TypeNames(v); len(names) > 0 {
		return names[0]
	}
	return "System.Object"
}

func (s *SelectObject) fill(c *Call, o *object.Object, v any) error {
	cols := s.cols
	if len(cols) == 0 {
		cols = []column{{name: "*"}}
	}
	for _, col := range cols {
		if col.block == nil && object.HasWildcard(col.name) {
			for _, p := range object.Properties(v) {
				if object.Like(p.Name, col.name) && !s.excluded(p.Name) {
					o.Add(p.Name, p.Value)
				}
			}
			continue
		}
		r, _, err := col.value(c, v)
		if err != nil {
			if passes(err) {
				if _, ok := err.(*termError); !ok {
					return err
				}
			}
			r = nil // a failing expression gives null
		}
		name := col.name
		if p, ok := object.Spelling(v, name); ok && col.block == nil {
			name = p
		}
		if !s.excluded(name) {
			o.Add(name, r)
		}
	}
	return nil
}

func (s *SelectObject) excluded(name string) bool {
	return slices.ContainsFunc(s.ExcludeProperty, func(p string) bool { return object.Like(name, p) })
}

func (s *SelectObject) out(c *Call, v any) error {
	if s.Unique {
		for _, d := range s.done {
			if sameObject(d, v) {
				return nil
			}
		}
		s.done = append(s.done, v)
	}
	return c.Emit(v)
}

func sameObject(a, b any) bool {
	oa, ok1 := a.(*object.Object)
	ob, ok2 := b.(*object.Object)
	if !ok1 || !ok2 {
		return object.Equal(a, b, true)
	}
	pa, pb := object.Properties(oa), object.Properties(ob)
	if len(pa) != len(pb) {
		return false
	}
	for i := range pa {
		if !strings.EqualFold(pa[i].Name, pb[i].Name) || !object.Equal(pa[i].Value, pb[i].Value, true) {
			return false
		}
	}
	return true
}

// SortObject is Sort-Object (16.1): stable, nulls first.
type SortObject struct {
	Property      []any         `ps:"Property,position=0" help:"The properties to sort by: names, script blocks, or @{Expression={...}; Descending=$true}."`
	Descending    object.Switch `ps:"Descending" help:"Largest first."`
	Unique        object.Switch `ps:"Unique" help:"One of several that are equal."`
	CaseSensitive object.Switch `ps:"CaseSensitive" help:"Tells upper and lower case apart."`
	Culture       string        `ps:"Culture" help:"Accepted; the order is always the one of en-US."`
	InputObject   any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	items []any
}

// Run keeps one object.
func (s *SortObject) Run(_ context.Context, _ *Call) error {
	if s.InputObject != nil {
		s.items = append(s.items, s.InputObject)
	}
	return nil
}

// End sorts and writes.
func (s *SortObject) End(_ context.Context, c *Call) error {
	cols, err := columns(s.Property)
	if err != nil {
		return err
	}
	type row struct {
		v    any
		keys []any
	}
	rows := make([]row, len(s.items))
	for i, v := range s.items {
		rows[i].v = v
		for _, col := range cols {
			k, _, err := col.value(c, v)
			if err != nil {
				return err
			}
			rows[i].keys = append(rows[i].keys, k)
		}
		if len(cols) == 0 {
			rows[i].keys = []any{v}
		}
	}
	compare := func(a, b row) int {
		for i := range a.keys {
			n := orderOf(a.keys[i], b.keys[i], bool(s.CaseSensitive))
			down := bool(s.Descending)
			if i < len(cols) && cols[i].descending != nil {
				down = *cols[i].descending
			}
			if down {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	}
	slices.SortStableFunc(rows, compare)
	for i, r := range rows {
		if bool(s.Unique) && i > 0 && compare(rows[i-1], r) == 0 {
			continue
		}
		if err := c.Emit(r.v); err != nil {
			return err
		}
	}
	return nil
}

// orderOf orders any two values: what cannot be compared is compared as text.
func orderOf(a, b any, caseSensitive bool) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	if n, err := object.Compare(a, b, caseSensitive); err == nil {
		return n
	}
	return object.CompareStrings(object.String(a), object.String(b), caseSensitive)
}

// GroupObject is Group-Object (16.1).
type GroupObject struct {
	Property      []any         `ps:"Property,position=0" help:"The properties whose values make a group."`
	NoElement     object.Switch `ps:"NoElement" help:"Leaves the objects out of the groups."`
	AsHashTable   object.Switch `ps:"AsHashTable,alias=AHT" help:"Gives a hashtable of the groups."`
	AsString      object.Switch `ps:"AsString" help:"Makes the keys of the hashtable texts."`
	CaseSensitive object.Switch `ps:"CaseSensitive" help:"Tells upper and lower case apart."`
	Culture       string        `ps:"Culture" help:"Accepted; texts are compared as in en-US."`
	InputObject   any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	cols   []column
	groups []*group
	index  map[string]*group
}

type group struct {
	name   string
	values []any
	items  []any // none with NoElement
	count  int
}

// Begin reads the properties.
func (g *GroupObject) Begin(_ context.Context, _ *Call) (err error) {
	g.index = map[string]*group{}
	g.cols, err = columns(g.Property)
	return err
}

// Run puts one object into its group.
func (g *GroupObject) Run(_ context.Context, c *Call) error {
	values := []any{g.InputObject}
	if len(g.cols) > 0 {
		values = values[:0]
		for _, col := range g.cols {
			v, _, err := col.value(c, g.InputObject)
			if err != nil {
				return err
			}
			values = append(values, v)
		}
	}
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = object.String(v)
	}
	key := strings.Join(names, "\x00")
	if !g.CaseSensitive {
		key = strings.ToLower(key)
	}
	got := g.index[key]
	if got == nil {
		got = &group{name: strings.Join(names, ", "), values: values}
		g.index[key] = got
		g.groups = append(g.groups, got)
	}
	got.count++
	if !bool(g.NoElement) || bool(g.AsHashTable) {
		got.items = append(got.items, g.InputObject)
	}
	return nil
}

// End writes the groups.
func (g *GroupObject) End(_ context.Context, c *Call) error {
	if g.AsHashTable {
		h := object.NewHashtable()
		for _, x := range g.groups {
			var key any = x.name
			if !g.AsString && len(x.values) == 1 && x.values[0] != nil {
				key = x.values[0]
			}
			h.Set(key, object.NewArray(x.items...))
		}
		return c.Emit(h)
	}
	for _, x := range g.groups {
		names := []string{"Microsoft.PowerShell.Commands.GroupInfo", "System.Object"}
		if g.NoElement {
			names = append([]string{"Microsoft.PowerShell.Commands.GroupInfoNoElement"}, names...)
		}
		o := object.New(names...)
		for _, p := range []object.Property{{Name: "Values", Value: object.NewArray(x.values...)}, {Name: "Count", Value: int32(x.count)},
			{Name: "Group", Value: &object.List{Kind: object.TCollection, Items: x.items}}, {Name: "Name", Value: x.name}} {
			if p.Name == "Group" && bool(g.NoElement) {
				continue
			}
			p.Kind = object.DataProperty
			o.AddProperty(&p)
		}
		if err := c.Emit(o); err != nil {
			return err
		}
	}
	return nil
}

// MeasureObject is Measure-Object (16.1).
type MeasureObject struct {
	Property         []string      `ps:"Property,position=0" help:"The properties to measure; the objects themselves when it is left out."`
	Sum              object.Switch `ps:"Sum" help:"Adds the values up."`
	Average          object.Switch `ps:"Average" help:"Gives the mean of the values."`
	Minimum          object.Switch `ps:"Minimum" help:"Gives the smallest value."`
	Maximum          object.Switch `ps:"Maximum" help:"Gives the largest value."`
	Line             object.Switch `ps:"Line" help:"Counts lines."`
	Word             object.Switch `ps:"Word" help:"Counts words."`
	Character        object.Switch `ps:"Character" help:"Counts characters."`
	IgnoreWhiteSpace object.Switch `ps:"IgnoreWhiteSpace" help:"Does not count white space as characters."`
	InputObject      any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	stats               map[string]*measure
	lines, words, runes int64
}

type measure struct {
	count    int
	sum      float64
	min, max any
}

// Run takes one object into account.
func (m *MeasureObject) Run(_ context.Context, c *Call) error {
	if m.stats == nil {
		m.stats = map[string]*measure{}
	}
	if m.InputObject == nil {
		return nil
	}
	if m.Line || m.Word || m.Character {
		s := object.String(m.InputObject)
		m.lines += int64(strings.Count(s, "\n")) + 1
		m.words += int64(len(strings.Fields(s)))
		for _, r := range s {
			if !bool(m.IgnoreWhiteSpace) || !unicode.IsSpace(r) {
				m.runes++
			}
		}
		return nil
	}
	props := m.Property
	if len(props) == 0 {
		props = []string{""}
	}
	for _, p := range props {
		v := m.InputObject
		if p != "" {
			var ok bool
			if v, ok = object.Get(v, p); !ok || v == nil {
				continue
			}
		}
		st := m.stats[p]
		if st == nil {
			st = &measure{}
			m.stats[p] = st
		}
		st.count++
		if m.Sum || m.Average {
			n, err := object.Convert(v, object.TDouble)
			if err != nil {
				r := object.NewError("NonNumericInputObject,Microsoft.PowerShell.Commands.MeasureObjectCommand", object.InvalidType, object.TPSInvalidCast, "Input object \"%s\" is not numeric.", object.String(v))
				r.Target = v
				if err := c.WriteError(r); err != nil {
					return err
				}
				continue
			}
			st.sum += n.(float64)
		}
		if bool(m.Minimum) && (st.min == nil || orderOf(v, st.min, false) < 0) {
			st.min = v
		}
		if bool(m.Maximum) && (st.max == nil || orderOf(v, st.max, false) > 0) {
			st.max = v
		}
	}
	return nil
}

// End writes the result.
func (m *MeasureObject) End(_ context.Context, c *Call) error {
	if m.Line || m.Word || m.Character {
		o := object.New("Microsoft.PowerShell.Commands.TextMeasureInfo", "Microsoft.PowerShell.Commands.MeasureInfo", "System.Object")
		add := func(name string, on object.Switch, n int64) {
			if on {
				o.Add(name, object.From(int(n)))
			} else {
				o.Add(name, nil)
			}
		}
		add("Lines", m.Line, m.lines)
		add("Words", m.Word, m.words)
		add("Characters", m.Character, m.runes)
		return c.Emit(o.Add("Property", nil))
	}
	props := m.Property
	if len(props) == 0 {
		props = []string{""}
	}
	for _, p := range props {
		st := m.stats[p]
		if st == nil {
			if p != "" {
				r := object.NewError("GenericMeasurePropertyNotFound,Microsoft.PowerShell.Commands.MeasureObjectCommand", object.InvalidArgument, object.TPSArgument, "The property \"%s\" cannot be found in the input for any objects.", p)
				if err := c.WriteError(r); err != nil {
					return err
				}
				continue
			}
			st = &measure{}
		}
		o := object.New("Microsoft.PowerShell.Commands.GenericMeasureInfo", "Microsoft.PowerShell.Commands.MeasureInfo", "System.Object")
		add := func(name string, on object.Switch, v any) {
			q := &object.Property{Name: name, Kind: object.DataProperty}
			if on {
				q.Value = v
			}
			o.AddProperty(q)
		}
		add("Count", true, int32(st.count))
		var avg any
		if st.count > 0 {
			avg = st.sum / float64(st.count)
		}
		add("Average", m.Average, avg)
		add("Sum", m.Sum, st.sum)
		add("Maximum", m.Maximum, st.max)
		add("Minimum", m.Minimum, st.min)
		add("Property", object.Switch(p != ""), p)
		if err := c.Emit(o); err != nil {
			return err
		}
	}
	return nil
}

// GetMember is Get-Member (16.1).
type GetMember struct {
	Name        []string      `ps:"Name,position=0,wildcard" help:"The members to list."`
	MemberType  []string      `ps:"MemberType,alias=Type" help:"Kinds of members: NoteProperty, Property, Properties, Method, Methods, All and so on."`
	Static      object.Switch `ps:"Static" help:"Lists the static members of a type."`
	Force       object.Switch `ps:"Force" help:"Accepted for scripts that give it."`
	View        string        `ps:"View" help:"Accepted for scripts that give it."`
	InputObject any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	types map[string]bool
}

// Run lists the members once for each type.
func (g *GetMember) Run(_ context.Context, c *Call) error {
	if g.InputObject == nil {
		return nil
	}
	if g.types == nil {
		g.types = map[string]bool{}
	}
	title := typeTitle(g.InputObject)
	if g.types[title] {
		return nil
	}
	g.types[title] = true
	members := object.Members(g.InputObject)
	if t, ok := object.Base(g.InputObject).(*object.Type); ok && bool(g.Static) {
		title, members = t.Name, nil
		for _, n := range object.StaticNames(t) {
			members = append(members, object.Member{Name: n, Kind: object.Method, Definition: "static " + n})
		}
	}
	for _, m := range members {
		if len(g.Name) > 0 && !slices.ContainsFunc(g.Name, func(p string) bool { return object.Like(m.Name, p) }) {
			continue
		}
		if len(g.MemberType) > 0 && !slices.ContainsFunc(g.MemberType, func(t string) bool { return kindIs(m.Kind, t) }) {
			continue
		}
		o := object.New("Microsoft.PowerShell.Commands.MemberDefinition", "System.Object")
		o.Add("TypeName", title).Add("Name", m.Name).Add("MemberType", string(m.Kind)).Add("Definition", m.Definition)
		if err := c.Emit(o); err != nil {
			return err
		}
	}
	return nil
}

func kindIs(k object.MemberKind, want string) bool {
	want = strings.ToLower(want)
	switch want {
	case "all":
		return true
	case "properties":
		return k != object.Method
	case "methods":
		return k == object.Method
	}
	return strings.EqualFold(string(k), want)
}

// End complains when nothing came.
func (g *GetMember) End(_ context.Context, c *Call) error {
	if len(g.types) > 0 {
		return nil
	}
	return c.WriteError(object.NewError("NoObjectInGetMember,Microsoft.PowerShell.Commands.GetMemberCommand", 2, object.TInvalidOperation, "You must specify an object for the Get-Member cmdlet."))
}

// NewObject is New-Object (16.1).
type NewObject struct {
	TypeName     string            `ps:"TypeName,mandatory,position=0,set=Net" help:"The .NET type, one of those that this shell knows."`
	ArgumentList []any             `ps:"ArgumentList,alias=Args,position=1,set=Net" help:"Arguments of its constructor."`
	Property     *object.Hashtable `ps:"Property" help:"Properties to set on the new object."`
	ComObject    string            `ps:"ComObject,mandatory,set=Com" help:"The COM class; Scripting.FileSystemObject is known."`
	Strict       object.Switch     `ps:"Strict,set=Com" help:"Accepted for scripts that give it."`
}

// Run makes the object.
func (n *NewObject) Run(_ context.Context, c *Call) error {
	var v any
	var err error
	if n.ComObject != "" {
		v, err = object.ConstructCOM(c.e.s.ctxObj, n.ComObject)
	} else {
		v, err = object.ConstructByName(c.e.s.ctxObj, n.TypeName, n.ArgumentList)
	}
	if err != nil {
		return err
	}
	if n.Property != nil {
		for k, p := range n.Property.All() {
			if o, ok := v.(*object.Object); ok && o.Base == nil {
				o.Add(object.String(k), p)
				continue
			}
			if err := object.Set(v, object.String(k), p); err != nil {
				return err
			}
		}
	}
	return c.Emit(v)
}

// AddMember is Add-Member for note properties.
type AddMember struct {
	MemberType          string            `ps:"MemberType,alias=Type,position=0,set=Member" help:"NoteProperty or ScriptProperty."`
	Name                string            `ps:"Name,position=1,set=Member" help:"The member's name."`
	Value               any               `ps:"Value,position=2,set=Member" help:"Its value, or the script block of a ScriptProperty."`
	NotePropertyName    string            `ps:"NotePropertyName,set=Note" help:"The name of a note property."`
	NotePropertyValue   any               `ps:"NotePropertyValue,set=Note" help:"Its value."`
	NotePropertyMembers *object.Hashtable `ps:"NotePropertyMembers,set=Notes" help:"A hashtable of note properties."`
	TypeName            string            `ps:"TypeName" help:"A type name to put in front."`
	PassThru            object.Switch     `ps:"PassThru" help:"Writes the object."`
	Force               object.Switch     `ps:"Force" help:"Replaces a member of that name."`
	InputObject         any               `ps:"InputObject,pipeline=value" help:"The objects, usually from the pipeline."`
}

// Run adds the member.
func (a *AddMember) Run(_ context.Context, c *Call) error {
	o := object.Wrap(a.InputObject)
	add := func(name string, v any) error {
		if o.Property(name) != nil && !bool(a.Force) {
			return object.NewError("MemberAlreadyExists,Microsoft.PowerShell.Commands.AddMemberCommand", object.InvalidOperation, object.TInvalidOperation,
				"Cannot add a member with the name \"%s\" because a member with that name already exists. To overwrite the member anyway, add the Force parameter to your command.", name)
		}
		o.Add(name, v)
		return nil
	}
	var err error
	switch {
	case a.NotePropertyMembers != nil:
		for k, v := range a.NotePropertyMembers.All() {
			if err = add(object.String(k), v); err != nil {
				break
			}
		}
	case a.NotePropertyName != "":
		err = add(a.NotePropertyName, a.NotePropertyValue)
	case strings.EqualFold(a.MemberType, "NoteProperty"):
		err = add(a.Name, a.Value)
	case strings.EqualFold(a.MemberType, "ScriptProperty"):
		b, ok := object.Base(a.Value).(*ScriptBlock)
		if !ok {
			return fmt.Errorf("a script property needs a script block")
		}
		o.AddProperty(&object.Property{Name: a.Name, Kind: object.ScriptProperty, Get: func(this *object.Object) (any, error) {
			got, err := c.e.block(b, this, map[string]any{"this": this})
			return object.Collapse(got), err
		}})
	case a.MemberType != "":
		return object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "Members of type %s are not supported in this shell.", a.MemberType)
	}
	if err != nil {
		return c.WriteError(err)
	}
	if a.TypeName != "" {
		o.InsertTypeName(a.TypeName)
	}
	if a.PassThru {
		return c.Emit(o)
	}
	return nil
}

// GetUnique is Get-Unique.
type GetUnique struct {
	InputObject any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`
	AsString    object.Switch `ps:"AsString" help:"Compares as text without regard to case."`

	last any
	any  bool
}

// Run drops what equals its predecessor.
func (g *GetUnique) Run(_ context.Context, c *Call) error {
	if g.any && object.Equal(g.last, g.InputObject, !bool(g.AsString)) {
		return nil
	}
	g.any, g.last = true, g.InputObject
	return c.Emit(g.InputObject)
}
