package interp

import "busybridge/internal/ps/object"

// String is the message's text.
func (m *Message) String() string { return m.Text }

// PSType is the class of the record as scripts see it.
func (m *Message) PSType() *object.Type {
	name := "System.Management.Automation." + m.Kind + "Record"
	return &object.Type{Name: name, Base: object.TObject}
}
