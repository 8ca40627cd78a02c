package psrp

import (
	"strings"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

// A Pipeline is what CREATE_PIPELINE asks for (MS-PSRP 2.2.2.10).
type Pipeline struct {
	NoInput      bool // no input will follow
	Nested       bool
	AddToHistory bool
	History      string
	Host         Host
	Statements   [][]Command // one after the other, each a pipeline
}

// A Command is one command of a pipeline (MS-PSRP 2.2.3.12).
type Command struct {
	Name      string
	Script    bool // Name is the text of a script
	Merge     Merge
	Arguments []Argument
}

// An Argument belongs to a parameter; without a name it goes by position.
type Argument struct {
	Name  string
	Value any
	// Alone says that the name stands by itself: it is a switch, or the next
	// argument is its value. Who binds it knows.
	Alone bool
}

// A Merge says where the streams of a command go.
type Merge struct{ My, To, Previous, Error, Warning, Verbose, Debug, Information Stream }

// A Stream is a place for results (MS-PSRP 2.2.3.31).
type Stream int32

// The streams.
const (
	NoStream Stream = iota
	OutputStream
	ErrorStream
	WarningStream
	VerboseStream
	DebugStream
	InformationStream
	AllStreams
	NullStream
)

var (
	tStream        = enumeration("Runspaces.PipelineResultTypes", "None", "Output", "Error", "Warning", "Verbose", "Debug", "Information", "All", "Null")
	tThreadOptions = enumeration("Runspaces.PSThreadOptions", "Default", "UseNewThread", "ReuseThread", "UseCurrentThread")
	tApartment     = enumeration("Runspaces.ApartmentState", "STA", "MTA", "UNKNOWN")
	tStreamOptions = enumeration("RemoteStreamOptions", "0")
	tCommandTypes  = &object.Type{Name: automation + "CommandTypes", Base: object.TErrorCategory.Base, Flags: true, Enum: []object.EnumName{
		{Name: "Alias", Value: 1}, {Name: "Function", Value: 2}, {Name: "Filter", Value: 4}, {Name: "Cmdlet", Value: 8},
		{Name: "ExternalScript", Value: 16}, {Name: "Application", Value: 32}, {Name: "Script", Value: 64}, {Name: "Workflow", Value: 128}, {Name: "Configuration", Value: 256},
	}}
	tObjects = &object.Type{Base: object.TObject,
		Name: "System.Collections.Generic.List`1[[System.Management.Automation.PSObject, System.Management.Automation, Version=1.0.0.0, Culture=neutral, PublicKeyToken=31bf3856ad364e35]]"}
)

// mergeNames are the fields of a Merge. The last five came with protocol 2.2 and 2.3.
var mergeNames = []string{"MergeMyResult", "MergeToResult", "MergePreviousResults", "MergeError", "MergeWarning", "MergeVerbose", "MergeDebug", "MergeInformation"}

func (m *Merge) all() []*Stream {
	return []*Stream{&m.My, &m.To, &m.Previous, &m.Error, &m.Warning, &m.Verbose, &m.Debug, &m.Information}
}

func (p *Pipeline) bag(protocol object.Version) *clixml.Bag {
	var statements []any
	for _, s := range p.Statements {
		list := &object.List{Kind: tObjects}
		for i := range s {
			list.Items = append(list.Items, s[i].bag(protocol))
		}
		statements = append(statements, list)
	}
	shell := new(clixml.Bag).Add("IsNested", p.Nested)
	if len(statements) > 1 {
		extra := &object.List{Kind: tObjects}
		for _, s := range statements {
			extra.Items = append(extra.Items, new(clixml.Bag).Add("Cmds", s))
		}
		shell.Add("ExtraCmds", extra)
	} else {
		shell.Add("ExtraCmds", nil)
	}
	var first, history any = &object.List{Kind: tObjects}, nil
	if len(statements) > 0 {
		first = statements[0]
	}
	if p.History != "" {
		history = p.History
	}
	shell.Add("Cmds", first).Add("History", history).Add("RedirectShellErrorOutputPipe", false)
	return new(clixml.Bag).Add("NoInput", p.NoInput).Add("ApartmentState", object.Enum{Type: tApartment, Value: 2}).
		Add("RemoteStreamOptions", object.Enum{Type: tStreamOptions}).Add("AddToHistory", p.AddToHistory).Add("HostInfo", p.Host.bag()).
		Add("PowerShell", shell).Add("IsNested", p.Nested)
}

func (c *Command) bag(protocol object.Version) *clixml.Bag {
	args := &object.List{Kind: tObjects}
	for _, a := range c.Arguments {
		var name any
		if a.Name != "" {
			name = a.Name
		}
		if a.Alone { // as PowerShell writes what it has taken apart
			name = "-" + a.Name
		}
		args.Items = append(args.Items, new(clixml.Bag).Add("N", name).Add("V", a.Value))
	}
	b := new(clixml.Bag).Add("Cmd", c.Name).Add("IsScript", c.Script).Add("UseLocalScope", nil)
	names := mergeNames
	switch { // an older server knows no other fields
	case protocol.Minor < 2:
		names = names[:3]
	case protocol.Minor < 3:
		names = names[:7]
	}
	for i, to := range c.Merge.all()[:len(names)] {
		b.Add(names[i], object.Enum{Type: tStream, Value: int64(*to)})
	}
	return b.Add("Args", args)
}

func parsePipeline(v any) (*Pipeline, error) {
	f := fieldsOf(v)
	shell := fieldsOf(f.any("PowerShell"))
	p := &Pipeline{NoInput: f.flag("NoInput"), AddToHistory: f.flag("AddToHistory"), Host: parseHost(f.any("HostInfo")),
		Nested: f.flag("IsNested") || shell.flag("IsNested"), History: shell.text("History")}
	statements := []any{f.any("PowerShell")}
	if extra := shell.list("ExtraCmds"); len(extra) > 0 {
		statements = extra
	}
	for _, s := range statements {
		var cmds []Command
		for _, c := range fieldsOf(s).list("Cmds") {
			cmd := parseCommand(c)
			if cmd.Name == "" {
				return nil, broken(CreatePipeline, "a command has no name")
			}
			cmds = append(cmds, cmd)
		}
		if len(cmds) == 0 {
			return nil, broken(CreatePipeline, "there is no command")
		}
		p.Statements = append(p.Statements, cmds)
	}
	return p, nil
}

func parseCommand(v any) Command {
	f := fieldsOf(v)
	c := Command{Name: f.text("Cmd"), Script: f.flag("IsScript")}
	for i, to := range c.Merge.all() {
		*to = Stream(f.number(mergeNames[i], 0))
	}
	for _, a := range f.list("Args") {
		x := fieldsOf(a)
		name, v := x.text("N"), x.any("V")
		alone := strings.HasPrefix(name, "-") && !strings.HasSuffix(name, ":") && v == nil
		c.Arguments = append(c.Arguments, Argument{strings.TrimSuffix(strings.TrimPrefix(name, "-"), ":"), v, alone})
	}
	return c
}

// A Query asks which commands there are, for proxies of them (MS-PSRP 2.2.2.14).
type Query struct {
	Names     []string // wildcards; none: all
	Types     int32    // bits of CommandTypes, 0: all
	Modules   []string // wildcards; none: all
	Arguments []any
}

// Bits of a Query's and a CommandInfo's types.
const (
	AliasCommand    = 1
	FunctionCommand = 2
	CmdletCommand   = 8
	// proxied is what Import-PSSession asks for: all but scripts and applications.
	proxied = 399
)

func (q Query) bag() *clixml.Bag {
	var args any
	if len(q.Arguments) > 0 {
		args = object.NewArray(q.Arguments...)
	}
	types := q.Types
	if types == 0 {
		types = proxied
	}
	return new(clixml.Bag).Add("Name", object.Strings(q.Names...)).Add("CommandType", object.Enum{Type: tCommandTypes, Value: int64(types)}).
		Add("Namespace", object.Strings(q.Modules...)).Add("FullyQualifiedModule", nil).Add("ArgumentList", args)
}

func parseQuery(v any) *Query {
	f := fieldsOf(v)
	return &Query{Names: f.texts("Name"), Types: int32(f.number("CommandType", 0)), Modules: f.texts("Namespace"), Arguments: f.list("ArgumentList")}
}

// A CommandInfo is a command in the answer to a Query. The parameters' sets and what is mandatory do not cross.
type CommandInfo struct {
	Name, Module, Help string
	Type               int32  // CmdletCommand, …
	Resolved           string // what an alias stands for
	Outputs            []string
	Parameters         []ParameterInfo
}

// A ParameterInfo is a parameter of a CommandInfo.
type ParameterInfo struct {
	Name, Type      string
	Aliases         []string
	Dynamic, Switch bool
}

const selected = "Selected."

// count is the first object of an answer to a Query.
func countBag(n int) *clixml.Bag {
	b := &clixml.Bag{Types: []string{selected + "Microsoft.PowerShell.Commands.GenericMeasureInfo", object.TCustom.Name, object.TObject.Name}}
	return b.Add("Count", int32(n))
}

const (
	netCore = ", mscorlib, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089"
	netPS   = ", System.Management.Automation, Version=3.0.0.0, Culture=neutral, PublicKeyToken=31bf3856ad364e35"
)

var (
	tTypeNames  = &object.Type{Name: "System.Collections.ObjectModel.ReadOnlyCollection`1[[System.Management.Automation.PSTypeName" + netPS + "]]", Base: object.TObject}
	tParameters = &object.Type{Name: "System.Collections.Generic.Dictionary`2[[System.String" + netCore + "],[System.Management.Automation.ParameterMetadata" + netPS + "]]", Base: object.TObject}
	tAliases    = &object.Type{Name: "System.Collections.ObjectModel.Collection`1[[System.String" + netCore + "]]", Base: object.TObject}
)

func (c *CommandInfo) bag() *clixml.Bag {
	b := &clixml.Bag{Types: []string{selected + automation + "CmdletInfo", object.TCustom.Name, object.TObject.Name}}
	outputs := &object.List{Kind: tTypeNames}
	for _, o := range c.Outputs {
		outputs.Items = append(outputs.Items, o)
	}
	var resolved any
	if c.Resolved != "" {
		resolved = c.Resolved
	}
	params := object.NewHashtable()
	params.Kind = tParameters
	for _, p := range c.Parameters {
		aliases := &object.List{Kind: tAliases}
		for _, a := range p.Aliases {
			aliases.Items = append(aliases.Items, a)
		}
		o := object.New(automation+"ParameterMetadata", object.TObject.Name)
		o.Text = func() string { return automation + "ParameterMetadata" }
		for _, x := range []object.Property{{Name: "Name", Value: p.Name}, {Name: "ParameterType", Value: p.Type}, {Name: "Aliases", Value: aliases},
			{Name: "IsDynamic", Value: p.Dynamic}, {Name: "SwitchParameter", Value: p.Switch}} {
			x.Kind = object.DataProperty
			o.AddProperty(&x)
		}
		params.Set(p.Name, o)
	}
	return b.Add("Name", c.Name).Add("Namespace", c.Module).Add("HelpUri", c.Help).Add("CommandType", object.Enum{Type: tCommandTypes, Value: int64(c.Type)}).
		Add("ResolvedCommandName", resolved).Add("OutputType", outputs).Add("Parameters", params)
}

// ParseCommandInfo reads an output object of the answer to a Query. ok is false for another object, as the count that
// comes first.
func ParseCommandInfo(v any) (c CommandInfo, ok bool) {
	f := fieldsOf(v)
	c = CommandInfo{Name: f.text("Name"), Module: f.text("Namespace"), Help: f.text("HelpUri"), Type: int32(f.number("CommandType", 0)),
		Resolved: f.text("ResolvedCommandName"), Outputs: f.texts("OutputType")}
	table, _ := object.Base(f.any("Parameters")).(*object.Hashtable)
	if c.Name == "" || table == nil {
		return CommandInfo{}, false
	}
	for _, p := range table.Values() {
		x := fieldsOf(p)
		c.Parameters = append(c.Parameters, ParameterInfo{Name: x.text("Name"), Type: x.text("ParameterType"), Aliases: x.texts("Aliases"),
			Dynamic: x.flag("IsDynamic"), Switch: x.flag("SwitchParameter")})
	}
	return c, true
}
