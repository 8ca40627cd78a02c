// Package admin is who configures us: every change of the directory is a typed
// operation of [Service], named after the cmdlet that asks for it. Each checks
// the actor in one place ([Service.permit] over the table of operations), changes
// the store in one transaction, and keeps an audit event with what was before
// and after in the same transaction. A refusal is an audit event too.
//
// What cmdlets read goes through here as well, under the name of the cmdlet
// (view.go), so that an account without a role sees nothing.
//
// Cmdlets, the HTTP API and the console are thin layers over these operations.
package admin
