package interp

import (
	"strings"

	"busybridge/internal/ps/object"
)

// A variable with the type that holds its values, nil for any.
type variable struct {
	name  string
	value any
	kind  *object.Type

	private bool // seen in its own scope only
}

// A Scope is the variables of one call; reads search outward.
type Scope struct {
	vars   map[string]*variable
	parent *Scope
	script bool // the scope of a script file
}

func newScope(parent *Scope) *Scope { return &Scope{vars: map[string]*variable{}, parent: parent} }

func (s *Scope) local(name string) *variable { return s.vars[strings.ToLower(name)] }

func (s *Scope) find(name string) *variable {
	low := strings.ToLower(name)
	for at := s; at != nil; at = at.parent {
		if v := at.vars[low]; v != nil && (at == s || !v.private) {
			return v
		}
	}
	return nil
}

// set sets a variable of this very scope without conversion.
func (s *Scope) set(name string, value any) {
	low := strings.ToLower(name)
	if v := s.vars[low]; v != nil {
		v.value = value
		return
	}
	s.vars[low] = &variable{name: name, value: value}
}

func (s *Scope) root() *Scope {
	for s.parent != nil {
		s = s.parent
	}
	return s
}

// scriptScope is the nearest scope of a script file, or the global one.
func (s *Scope) scriptScope() *Scope {
	for s.parent != nil && !s.script {
		s = s.parent
	}
	return s
}

// getVariable is $Drive:Name.
func (e *env) getVariable(drive, name string) (any, error) {
	low := strings.ToLower(name)
	switch strings.ToLower(drive) {
	case "":
		switch low {
		case "true":
			return true, nil
		case "false":
			return false, nil
		case "null":
			return nil, nil
		case "?":
			return e.s.success, nil
		case "psitem":
			low = "_"
		case "pwd":
			if e.s.cfg.Files == nil {
				return nil, nil
			}
			path := object.New("System.Management.Automation.PathInfo").Add("Path", e.s.cfg.Files.Location())
			path.Text = e.s.cfg.Files.Location
			return path, nil
		case "lastexitcode":
			return int32(e.s.exitCode), nil
		}
		if v := e.scope.find(low); v != nil {
			return v.value, nil
		}
		return nil, nil
	case "env":
		if v, ok := e.s.env[low]; ok {
			return v, nil
		}
		return nil, nil
	case "global":
		return valueOf(e.scope.root().local(low)), nil
	case "script":
		return valueOf(e.scope.scriptScope().local(low)), nil
	case "local", "private":
		return valueOf(e.scope.local(low)), nil
	case "using", "variable":
		return valueOf(e.scope.find(low)), nil
	case "function":
		if f := e.s.functions[low]; f != nil {
			return &ScriptBlock{script: f.script}, nil
		}
		return nil, nil
	case "alias":
		if a, ok := e.s.aliases[low]; ok {
			return a, nil
		}
		return nil, nil
	}
	r := object.NewError("DriveNotFound", object.ObjectNotFound, object.TDriveNotFound, "Cannot find drive. A drive with the name '%s' does not exist.", drive)
	r.TargetName, r.TargetType = drive, "String"
	return nil, r
}

func valueOf(v *variable) any {
	if v == nil {
		return nil
	}
	return v.value
}

// setVariable assigns $Drive:Name; kind is the type of a cast on the left, or nil.
func (e *env) setVariable(drive, name string, value any, kind *object.Type) error {
	low := strings.ToLower(name)
	scope := e.scope
	switch strings.ToLower(drive) {
	case "", "local", "private", "variable":
	case "global":
		scope = scope.root()
	case "script":
		scope = scope.scriptScope()
	case "env":
		if value == nil {
			delete(e.s.env, low)
			return nil
		}
		if _, ok := e.s.envNames[low]; !ok {
			e.s.envNames[low] = name
		}
		e.s.env[low] = object.String(value)
		return nil
	case "function":
		b, ok := object.Base(value).(*ScriptBlock)
		if !ok {
			return object.NewError("InvalidFunction", object.InvalidArgument, nil, "A function must be a script block.")
		}
		e.s.functions[low] = &function{name: name, script: b.script}
		return nil
	default:
		return object.NewError("DriveNotFound", object.ObjectNotFound, object.TDriveNotFound, "Cannot find drive. A drive with the name '%s' does not exist.", drive)
	}
	switch low {
	case "true", "false", "null", "?", "host", "pid", "home", "psversiontable", "pwd":
		if low == "null" {
			return nil
		}
		r := object.NewError("VariableNotWritable", object.WriteError, object.TItemNotFound.Base, "Cannot overwrite variable %s because it is read-only or constant.", name)
		r.TargetName, r.TargetType = name, "String"
		return r
	case "psitem":
		low, name = "_", "_"
	}
	v := scope.vars[low]
	if v == nil {
		v = &variable{name: name}
		scope.vars[low] = v
	}
	if strings.EqualFold(drive, "private") {
		v.private = true
	}
	if kind != nil {
		v.kind = kind
	}
	if v.kind != nil {
		c, err := object.Convert(value, v.kind)
		if err != nil {
			r := object.AsRecord(err)
			if kind == nil {
				r.Category = object.NotSpecified
			}
			return r
		}
		value = c
	}
	v.value = value
	return nil
}

// preference is a preference variable or the action given for the command.
func (e *env) preference(name string) string {
	v, _ := e.getVariable("", name)
	return actionName(v)
}

// actionName is an action as its name; numbers name the members of ActionPreference.
func actionName(v any) string {
	a, err := object.Convert(v, object.TActionPreference)
	if err != nil {
		return object.String(v)
	}
	return object.String(a)
}
