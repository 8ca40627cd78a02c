// Package directory holds the objects that organizations and realms are made
// of, their rules and invariants. Names are Exchange's and MSOnline's.
//
// An [Organization] and a [Realm] are aggregates: one value with all of its
// configuration objects, read whole, never changed in place, and replaced whole
// in one transaction of the store. Recipients and accounts are many, and are
// kept and looked up one by one.
package directory
