package ews

import (
	"slices"

	"busybridge/internal/spec/soap"
)

var idFormats = []string{"EwsLegacyId", "EwsId", "EntryId", "HexEntryId", "StoreId", "OwaId"}

// A ConvertIDRequest is ConvertId (5.7).
type ConvertIDRequest struct {
	Destination string // EwsId, …
	Sources     []AlternateID
}

// An AlternateID is t:AlternateId.
type AlternateID struct{ Format, ID, Mailbox string }

// ParseConvertID reads m:ConvertId. Ids of public folders come without mailbox.
func ParseConvertID(e *soap.Element) (*ConvertIDRequest, error) {
	r := &ConvertIDRequest{Destination: e.AttrValue("DestinationFormat")}
	if !slices.Contains(idFormats, r.Destination) {
		return nil, badAttr(e, "DestinationFormat", r.Destination)
	}
	sources := e.Child(NSMessages, "SourceIds")
	if sources == nil || len(sources.Children) == 0 {
		return nil, missing(e, "SourceIds")
	}
	for _, c := range sources.Children {
		id := AlternateID{Format: c.AttrValue("Format"), Mailbox: c.AttrValue("Mailbox")}
		if !slices.Contains(idFormats, id.Format) {
			return nil, badAttr(c, "Format", id.Format)
		}
		if c.Is(NSTypes, "AlternateId") {
			id.ID = c.AttrValue("Id")
		}
		r.Sources = append(r.Sources, id)
	}
	return r, nil
}

// AppendAlternateID writes the content of a response message.
func AppendAlternateID(b []byte, id *AlternateID) []byte {
	b = append(b, `<m:AlternateId xsi:type="t:AlternateIdType" Format="`...)
	b = soap.AppendAttr(b, id.Format)
	b = append(b, `" Id="`...)
	b = soap.AppendAttr(b, id.ID)
	b = append(b, `" Mailbox="`...)
	return append(soap.AppendAttr(b, id.Mailbox), `"/>`...)
}
