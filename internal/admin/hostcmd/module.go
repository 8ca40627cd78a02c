package hostcmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

const typeModule = "System.Management.Automation.PSModuleInfo"

// A module is a set of commands with a name.
type module struct {
	name, kind, version, description string
	commands                         []interp.Command
	replaced                         []interp.Command // what its commands took the place of
	imported                         bool             // by Import-PSSession
}

// modules are those that were imported or removed; the others are known by the
// commands that are there.
type modules struct {
	loaded []*module // by Import-PSSession, or empty ones that were imported by name
	gone   []*module // taken away by Remove-Module
}

// load registers the module's commands.
func (ms *modules) load(s *interp.Session, m *module) error {
	for _, c := range m.commands {
		if old := s.Lookup(c.Name); old != nil && strings.EqualFold(old.Name, c.Name) {
			m.replaced = append(m.replaced, *old)
		}
	}
	ms.loaded = append(ms.loaded, m)
	return s.Register(m.commands...)
}

// unload takes the commands away; what they replaced comes back.
func (ms *modules) unload(s *interp.Session, m *module) error {
	for _, c := range m.commands {
		if now := s.Lookup(c.Name); now != nil && now.Module == m.name {
			s.Unregister(c.Name)
		}
	}
	for _, c := range m.replaced {
		if s.Lookup(c.Name) == nil {
			if err := s.Register(c); err != nil {
				return err
			}
		}
	}
	m.replaced = nil
	ms.loaded = slices.DeleteFunc(ms.loaded, func(o *module) bool { return o == m })
	if !m.imported {
		ms.gone = append(ms.gone, m)
	}
	return nil
}

// list is every module that is loaded, by name.
func (ms *modules) list(s *interp.Session) []*module {
	list := slices.Clone(ms.loaded)
	for _, c := range s.Commands() {
		if c.Module == "" || c.Module == moduleCore {
			continue
		}
		i := slices.IndexFunc(list, func(m *module) bool { return strings.EqualFold(m.name, c.Module) })
		switch {
		case i < 0:
			list = append(list, &module{name: c.Module, kind: "Manifest", version: "1.0", commands: []interp.Command{*c}})
		case !slices.Contains(ms.loaded, list[i]):
			list[i].commands = append(list[i].commands, *c)
		}
	}
	slices.SortStableFunc(list, func(a, b *module) int { return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
	return list
}

// object is the module as PSModuleInfo.
func (m *module) object() *object.Object {
	all, functions, cmdlets := object.NewOrdered(), object.NewOrdered(), object.NewOrdered()
	for _, c := range m.commands {
		all.Set(c.Name, c.Name)
		if c.Kind == "Function" {
			functions.Set(c.Name, c.Name)
		} else {
			cmdlets.Set(c.Name, c.Name)
		}
	}
	version := object.Version{Major: 1, Minor: 0, Build: -1, Revision: -1}
	o := object.New(typeModule, "System.Object").Add("Name", m.name).Add("Path", "").Add("Description", m.description).
		Add("ModuleType", m.kind).Add("Version", version).Add("ExportedFunctions", functions).Add("ExportedCmdlets", cmdlets).Add("ExportedCommands", all)
	o.Text = func() string { return m.name }
	return o
}

func (s *sessions) moduleCommands() []interp.Command {
	return []interp.Command{
		{
			Name: "Import-Module", New: func() interp.Cmdlet { return &importModule{s: s} },
			Synopsis:    "Loads a module that this shell has.",
			Description: "Modules are part of the shell; loading one that is there changes nothing. Module files are not read.",
			Examples:    []string{`Import-Module msonlineextended`}, Links: []string{"Get-Module", "Remove-Module"},
		},
		{
			Name: "Get-Module", New: func() interp.Cmdlet { return &getModule{s: s} },
			Synopsis: "Lists modules.", Examples: []string{`Get-Module -ListAvailable`}, Links: []string{"Import-Module"},
		},
		{
			Name: "Remove-Module", New: func() interp.Cmdlet { return &removeModule{s: s} }, ShouldProcess: true,
			Synopsis:    "Takes the commands of a module away.",
			Description: "The functions of Import-PSSession go for good, and local commands that they replaced come back. The commands of a module of the shell come back with Import-Module.",
			Examples:    []string{`Get-Module tmp_* | Remove-Module`}, Links: []string{"Import-Module"},
		},
		{
			Name: "Get-Verb", Module: moduleUtility, New: func() interp.Cmdlet { return &getVerb{} },
			Synopsis: "Lists the approved verbs of command names.", Examples: []string{`Get-Verb Un*`},
		},
	}
}

// moduleNames are names of modules, or objects that are modules.
type moduleNames []string

// BindPS implements interp.Binder.
func (n *moduleNames) BindPS(v any) error {
	*n = nil
	items, ok := object.Items(v)
	if !ok && v != nil {
		items = []any{v}
	}
	for _, i := range items {
		name := object.String(i)
		if name == "" {
			return fmt.Errorf("A module's name is empty.") // shown as it stands
		}
		*n = append(*n, name)
	}
	return nil
}

// ParameterType is what help calls them.
func (*moduleNames) ParameterType() string { return "String[]" }

type importModule struct {
	s                   *sessions
	Name                moduleNames   `ps:"Name,alias=ModuleInfo|FullyQualifiedName,mandatory,position=0,pipeline=value,notempty" help:"Names of modules, or what Import-PSSession returned."`
	Prefix              string        `ps:"Prefix" help:"Not offered; Import-PSSession has -Prefix."`
	PassThru            object.Switch `ps:"PassThru" help:"Returns the module."`
	Force               object.Switch `ps:"Force" help:"Has no effect."`
	Global              object.Switch `ps:"Global" help:"Has no effect: modules are global."`
	Function            []string      `ps:"Function" help:"Has no effect: all commands are loaded."`
	Cmdlet              []string      `ps:"Cmdlet" help:"Has no effect: all commands are loaded."`
	DisableNameChecking object.Switch `ps:"DisableNameChecking" help:"Has no effect: modules of the shell have approved verbs."`
	NoClobber           object.Switch `ps:"NoClobber,alias=NoOverwrite" help:"Has no effect."`
	MinimumVersion      string        `ps:"MinimumVersion,alias=Version" help:"Has no effect: there is one version."`
	RequiredVersion     string        `ps:"RequiredVersion" help:"Has no effect: there is one version."`
	ArgumentList        []any         `ps:"ArgumentList,alias=Args" help:"Has no effect: modules take no arguments."`
	Scope               string        `ps:"Scope,values=Local|Global" help:"Has no effect: modules are global."`
}

// Run loads the modules.
func (p *importModule) Run(_ context.Context, c *interp.Call) error {
	if p.Prefix != "" {
		return object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "A module of this shell cannot be given a prefix. Use -Prefix of Import-PSSession.")
	}
	for _, n := range p.Name {
		m, err := p.s.load(c.Session(), n)
		if err != nil {
			return err
		}
		if m == nil {
			r := object.NewError("Modules_ModuleNotFound,"+class(c), resourceUnavailable, object.TFileNotFound, "The specified module '%s' was not loaded because no valid module file was found in any module directory.", n)
			r.TargetName, r.TargetType = n, "String"
			if err := c.WriteError(r); err != nil {
				return err
			}
			continue
		}
		if p.PassThru {
			if err := c.Emit(m.object()); err != nil {
				return err
			}
		}
	}
	return nil
}

// resourceUnavailable is a category of module errors.
const resourceUnavailable = object.Category(21)

// load is the module of that name, its commands in place; nil when there is none.
func (s *sessions) load(session *interp.Session, name string) (*module, error) {
	same := func(m *module) bool { return strings.EqualFold(m.name, name) }
	if i := slices.IndexFunc(s.modules.gone, same); i >= 0 {
		m := s.modules.gone[i]
		s.modules.gone = slices.Delete(s.modules.gone, i, i+1)
		if len(m.commands) == 0 {
			s.modules.loaded = append(s.modules.loaded, m)
		}
		return m, session.Register(m.commands...)
	}
	list := s.modules.list(session)
	if i := slices.IndexFunc(list, same); i >= 0 {
		return list[i], nil
	}
	if strings.EqualFold(name, moduleCore) {
		return &module{name: moduleCore, kind: "Manifest"}, nil
	}
	for _, n := range s.Modules {
		if strings.EqualFold(n, name) {
			m := &module{name: n, kind: "Manifest"}
			s.modules.loaded = append(s.modules.loaded, m)
			return m, nil
		}
	}
	return nil, nil
}

type getModule struct {
	s             *sessions
	Name          []string      `ps:"Name,position=0,pipeline=value,wildcard" help:"Names of modules; wildcards are possible."`
	ListAvailable object.Switch `ps:"ListAvailable" help:"Also those that are not loaded."`
	All           object.Switch `ps:"All" help:"Has no effect: modules have no parts."`
	Refresh       object.Switch `ps:"Refresh" help:"Has no effect."`
}

// Run lists modules.
func (p *getModule) Run(_ context.Context, c *interp.Call) error {
	list := p.s.modules.list(c.Session())
	if p.ListAvailable {
		list = slices.DeleteFunc(list, func(m *module) bool { return m.imported })
		list = append(list, p.s.modules.gone...)
		for _, n := range p.s.Modules {
			if !slices.ContainsFunc(list, func(m *module) bool { return strings.EqualFold(m.name, n) }) {
				list = append(list, &module{name: n, kind: "Manifest"})
			}
		}
	}
	for _, m := range list {
		if len(p.Name) > 0 && !matches(p.Name, m.name) {
			continue
		}
		if err := c.Emit(m.object()); err != nil {
			return err
		}
	}
	return nil
}

type removeModule struct {
	s     *sessions
	Name  moduleNames   `ps:"Name,alias=ModuleInfo|FullyQualifiedName,mandatory,position=0,pipeline=value,notempty,wildcard" help:"Names of modules, wildcards too, or modules."`
	Force object.Switch `ps:"Force" help:"Has no effect: no module is read-only but the language's own."`
}

// Run takes modules away.
func (p *removeModule) Run(_ context.Context, c *interp.Call) error {
	for _, n := range p.Name {
		found := false
		for _, m := range p.s.modules.list(c.Session()) {
			if !object.Like(m.name, n) {
				continue
			}
			found = true
			if strings.HasPrefix(m.name, "Microsoft.PowerShell.") {
				return object.NewError("Modules_ModuleIsConstant,"+class(c), object.PermissionDenied, object.TInvalidOperation, "Unable to remove the module '%s' because it is part of the shell.", m.name)
			}
			ok, err := c.ShouldProcess(m.name, "Remove-Module")
			if err == nil && ok {
				err = p.s.modules.unload(c.Session(), m)
			}
			if err != nil {
				return err
			}
		}
		if found || object.HasWildcard(n) {
			continue
		}
		r := object.NewError("Modules_NoModulesRemoved,"+class(c), resourceUnavailable, object.TInvalidOperation, "No modules were removed. Verify that the specification of modules to remove is correct and those modules exist in the runspace.")
		r.TargetName, r.TargetType = n, "String"
		if err := c.WriteError(r); err != nil {
			return err
		}
	}
	return nil
}

type getVerb struct {
	Verb []string `ps:"Verb,position=0,pipeline=value,wildcard" help:"Verbs; wildcards are possible."`
}

// Run lists verbs.
func (p *getVerb) Run(_ context.Context, c *interp.Call) error {
	for _, g := range verbs {
		for v := range strings.FieldsSeq(g.verbs) {
			if len(p.Verb) > 0 && !matches(p.Verb, v) {
				continue
			}
			if err := c.Emit(object.New("Selected.Microsoft.PowerShell.Commands.MemberDefinition", "System.Management.Automation.PSCustomObject", "System.Object").Add("Verb", v).Add("Group", g.group)); err != nil {
				return err
			}
		}
	}
	return nil
}

// approved reports whether a verb is one of Get-Verb's.
func approved(verb string) bool {
	for _, g := range verbs {
		for v := range strings.FieldsSeq(g.verbs) {
			if strings.EqualFold(v, verb) {
				return true
			}
		}
	}
	return false
}

// verbs are the approved verbs of Windows PowerShell 5.1.
var verbs = []struct{ group, verbs string }{
	{"Common", "Add Clear Close Copy Enter Exit Find Format Get Hide Join Lock Move New Open Optimize Pop Push Redo Remove Rename Reset Resize Search Select Set Show Skip Split Step Switch Undo Unlock Watch"},
	{"Data", "Backup Checkpoint Compare Compress Convert ConvertFrom ConvertTo Dismount Edit Expand Export Group Import Initialize Limit Merge Mount Out Publish Restore Save Sync Unpublish Update"},
	{"Lifecycle", "Approve Assert Complete Confirm Deny Disable Enable Install Invoke Register Request Restart Resume Start Stop Submit Suspend Uninstall Unregister Wait"},
	{"Diagnostic", "Debug Measure Ping Repair Resolve Test Trace"},
	{"Communications", "Connect Disconnect Read Receive Send Write"},
	{"Security", "Block Grant Protect Revoke Unblock Unprotect"},
	{"Other", "Use"},
}
