package format

import (
	"strings"

	"busybridge/internal/ps/object"
)

func columns(names ...string) []Column {
	out := make([]Column, len(names))
	for i, n := range names {
		out[i] = Column{Name: n}
	}
	return out
}

func named(name string, width int) Column { return Column{Name: name, Width: width} }

func right(name string, width int) Column { return Column{Name: name, Width: width, Align: AlignRight} }

// builtin is the views of the language's own types and of what the core cmdlets write.
func builtin() Views {
	entry := View{Shape: Table, Columns: []Column{named("Name", 30), {Name: "Value"}}}
	command := View{Shape: Table, Columns: []Column{named("CommandType", 15), named("Name", 50), named("Version", 10), {Name: "Source"}}}
	file := View{Shape: Table, Columns: []Column{
		named("Mode", 7), right("LastWriteTime", 25), right("Length", 14), {Name: "Name"},
	}, GroupBy: &Column{Label: " Directory", Expr: directory}, headingBlank: 1}
	file.Columns[1].Expr = writeTime
	certificate := View{Shape: Table, Columns: []Column{named("Thumbprint", 41), {Name: "Subject"}}, GroupBy: &Column{Name: "PSParentPath"}}
	return Views{
		"System.Collections.DictionaryEntry":                             entry,
		"System.Management.Automation.PSVariable":                        entry,
		"System.Management.Automation.PSCredential":                      {Shape: Table, Columns: []Column{{Name: "UserName"}, {Name: "Password", Align: AlignRight}}},
		"System.Version":                                                 {Shape: Table, Columns: []Column{named("Major", 6), named("Minor", 6), named("Build", 6), named("Revision", 8)}},
		"System.Guid":                                                    {Shape: Table, Columns: []Column{{Label: "Guid", Expr: func(v any) (any, error) { return object.Display(v), nil }}}},
		"System.RuntimeType":                                             {Shape: Table, Columns: []Column{{Name: "IsPublic", Width: 8, Align: AlignLeft, Expr: isPublic}, {Name: "IsSerial", Width: 8, Align: AlignLeft, Expr: isPublic}, named("Name", 40), {Name: "BaseType"}}},
		"System.TimeSpan":                                                {Shape: List, Columns: columns("Days", "Hours", "Minutes", "Seconds", "Milliseconds", "Ticks", "TotalDays", "TotalHours", "TotalMinutes", "TotalSeconds", "TotalMilliseconds")},
		"Microsoft.PowerShell.Commands.GroupInfo":                        {Shape: Table, Columns: []Column{right("Count", 5), named("Name", 25), {Name: "Group"}}},
		"Microsoft.PowerShell.Commands.GroupInfoNoElement":               {Shape: Table, Columns: []Column{right("Count", 5), named("Name", 25)}},
		"Microsoft.PowerShell.Commands.GenericMeasureInfo":               {Shape: List, Columns: columns("Count", "Average", "Sum", "Maximum", "Minimum", "Property")},
		"Microsoft.PowerShell.Commands.TextMeasureInfo":                  {Shape: Table, Columns: columns("Lines", "Words", "Characters", "Property")},
		"Microsoft.PowerShell.Commands.MemberDefinition":                 {Shape: Table, Columns: columns("Name", "MemberType", "Definition"), GroupBy: &Column{Name: "TypeName"}},
		"MamlCommandHelpInfo":                                            {Text: object.String},
		"HelpInfoShort":                                                  {Shape: Table, Columns: []Column{named("Name", 33), named("Category", 9), named("Module", 25), {Name: "Synopsis"}}},
		"Microsoft.PowerShell.Commands.HistoryInfo":                      {Shape: Table, Columns: []Column{right("Id", 4), {Name: "CommandLine"}}},
		"System.Management.Automation.CommandInfo":                       command,
		"System.Management.Automation.AliasInfo":                         {Shape: Table, Columns: []Column{named("CommandType", 15), {Name: "Name", Width: 50, Expr: aliasName}, named("Version", 10), {Name: "Source"}}},
		"System.Management.Automation.PSModuleInfo":                      {Shape: Table, Columns: []Column{named("ModuleType", 10), named("Version", 10), named("Name", 35), {Name: "ExportedCommands"}}},
		"System.Management.Automation.Runspaces.PSSession":               {Shape: Table, Columns: []Column{right("Id", 3), named("Name", 15), named("ComputerName", 15), named("ComputerType", 15), named("State", 13), named("ConfigurationName", 20), right("Availability", 13)}},
		"System.Management.Automation.PSDriveInfo":                       {Shape: Table, Columns: []Column{named("Name", 10), named("Provider", 13), {Name: "Root"}}},
		"System.Management.Automation.PathInfo":                          {Shape: Table, Columns: columns("Path")},
		"System.IO.FileInfo":                                             file,
		"System.IO.DirectoryInfo":                                        file,
		"System.Security.Cryptography.X509Certificates.X509Certificate2": certificate,
	}
}

func isPublic(any) (any, error) { return true, nil }

func aliasName(v any) (any, error) {
	name, _ := object.Get(v, "Name")
	target, _ := object.Get(v, "Definition")
	return object.String(name) + " -> " + object.String(target), nil
}

// directory is the folder of a file, for the heading of Get-ChildItem.
func directory(v any) (any, error) {
	if p, ok := object.Get(v, "PSParentPath"); ok {
		return strings.TrimPrefix(object.String(p), `Microsoft.PowerShell.Core\FileSystem::`), nil
	}
	p, _ := object.Get(v, "DirectoryName")
	return p, nil
}

// writeTime is the date and the time of day in two columns that line up, as files show it.
func writeTime(v any) (any, error) {
	t, _ := object.Get(v, "LastWriteTime")
	d, err := object.ToStringFormat(t, "d")
	if err != nil {
		return nil, err
	}
	h, err := object.ToStringFormat(t, "t")
	return padLeft(d, 10) + "  " + padLeft(h, 8), err
}
