// Package interp runs the shell's language: scopes, pipelines that stream, parameter binding, functions, streams and
// errors, with the rules of Windows PowerShell 5.1 that the language reference gives.
//
// A [Session] is made of a [Config] and runs texts. Commands are structs ([Cmdlet]) that the host passes in a table
// ([Command]); nothing registers itself. A pipeline pushes: each object goes through all commands before the next one
// is made, so that memory stays bounded and Select-Object -First ends what comes before it. Script code reaches the
// host through the closed tables of package object and through commands only.
//
//   - interp.go: configuration and session
//   - scope.go: variables
//   - eval.go, exec.go: expressions and statements
//   - param.go, bind.go: parameters and how arguments reach them
//   - pipeline.go, call.go: commands at work
//   - remote.go: pipelines made of values, and what commands bound, for sessions with other shells
//   - core*.go, help.go: the cmdlets of the language itself
//   - complete.go: how a line that is being typed can go on
//   - reference.go: the page of all cmdlets
package interp
