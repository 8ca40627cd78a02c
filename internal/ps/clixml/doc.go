// Package clixml reads and writes values as CLIXML, the XML in which PowerShell keeps objects in files and carries them
// between machines (MS-PSRP 2.2.5). One serializer serves both: files hold a document with a root, lines and several
// values; a message of the remoting protocol holds one bare value.
//
// What is read is data. An object becomes a property bag without methods whose type names begin with "Deserialized.",
// a script block becomes its text, and no type is made because of its name, but for switches, enumerations and
// credentials. Both directions are bounded: nesting, the values of a document with its references followed, and its size.
package clixml

import "errors"

// Space is the namespace of documents.
const Space = "http://schemas.microsoft.com/powershell/2004/04"

// MaxLevels bounds the nesting of objects: what is written deeper becomes text, so that it can be read again.
const MaxLevels = 20

// ErrNoKey is returned for a secure string when there is no key for it.
var ErrNoKey = errors.New("clixml: a secure string needs the key of a session")

// A Cipher encrypts secure strings with the key of a session.
type Cipher interface {
	Seal(text string) ([]byte, error)
	Open(sealed []byte) (string, error)
}

// A Bag is an object of the remoting protocol itself: fields in order, all of them extended properties. It is only
// written; what is read is an *object.Object.
type Bag struct {
	Types  []string // none: without type names
	Text   string   // what ToString gives, "" for none
	fields []field
}

type field struct {
	name  string
	value any
}

// Add adds a field at the end and returns b.
func (b *Bag) Add(name string, value any) *Bag {
	b.fields = append(b.fields, field{name, value})
	return b
}
