// Package syntax reads the shell's language, a subset of Windows PowerShell 5.1:
// Parse makes a tree with positions, Print writes a tree as source again,
// Repair proposes a correction for a script that lost its line breaks on paste.
//
// The parser is strict. What the subset leaves out (classes, workflows, data
// sections, the operators of version 7, …) is a ParseError that names it; it is
// never read as something else. There is no separate lexer: the same characters
// mean different things in command mode and in expression mode, so the parser
// reads characters and knows the mode it is in.
//
//   - source.go: text, positions, errors, limits
//   - ast.go: the tree
//   - scan.go: white space, words, strings, numbers, variables
//   - parse.go: scripts and statements
//   - command.go: commands, arguments, redirections
//   - expr.go: expressions
//   - print.go: the printer
//   - repair.go: the paste repair
package syntax
