package ews

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"busybridge/internal/spec/soap"
)

// A FolderRef names a folder in a request: by id, or by a name that every
// mailbox knows.
type FolderRef struct {
	Distinguished bool
	ID            string
	Mailbox       string // of a distinguished folder; "": the caller's own
}

// FolderProps are the properties that a shape asks for: a set of bits.
type FolderProps uint16

// The properties in schema order (5.2). The id is always there.
const (
	FolderParent FolderProps = 1 << iota
	FolderClass
	FolderName
	FolderTotal
	FolderChildren
	FolderRights
	FolderDistinguished
	FolderUnread

	folderDefault = FolderName | FolderTotal | FolderChildren | FolderUnread
	folderAll     = folderDefault | FolderParent | FolderClass | FolderRights | FolderDistinguished
)

var folderFields = map[string]FolderProps{
	"folder:FolderId": 0, "folder:ParentFolderId": FolderParent, "folder:FolderClass": FolderClass, "folder:DisplayName": FolderName,
	"folder:TotalCount": FolderTotal, "folder:ChildFolderCount": FolderChildren, "folder:EffectiveRights": FolderRights,
	"folder:DistinguishedFolderId": FolderDistinguished, "folder:UnreadCount": FolderUnread,
}

// A FolderShape says what of a folder to write. Tags are MAPI properties asked
// for by number.
type FolderShape struct {
	Props FolderProps
	Tags  []uint16
}

// MAPI properties of folders that are known here.
const (
	tagName   = 0x3001
	tagClass  = 0x3613
	tagHidden = 0x10f4
)

// A Folder is one folder. Kind is the element name: Folder, CalendarFolder,
// ContactsFolder, TasksFolder.
type Folder struct {
	Kind                    string
	ID, ChangeKey           string
	ParentID, ParentChange  string // "": the root has none
	Class, Name             string
	Children, Total, Unread int
	Distinguished           string // "": none
}

// A GetFolderRequest is GetFolder (5.2).
type GetFolderRequest struct {
	Shape   FolderShape
	Folders []FolderRef
}

// ParseGetFolder reads m:GetFolder.
func ParseGetFolder(e *soap.Element) (r *GetFolderRequest, err error) {
	r = &GetFolderRequest{}
	if r.Shape, err = parseShape(e); err != nil {
		return nil, err
	}
	r.Folders, err = ParseFolderRefs(e, "FolderIds")
	return r, err
}

// A FindFolderRequest is FindFolder (5.2).
type FindFolderRequest struct {
	Deep    bool
	Shape   FolderShape
	Offset  int // of the first folder wanted
	Max     int // 0: all
	FromEnd bool
	Match   func(*Folder) bool // the restriction; nil: none
	Parents []FolderRef
}

// ParseFindFolder reads m:FindFolder. A restriction that cannot be decided here
// wraps ErrRestriction.
func ParseFindFolder(e *soap.Element) (r *FindFolderRequest, err error) {
	r = &FindFolderRequest{}
	switch t := e.AttrValue("Traversal"); t {
	case "Shallow":
	case "Deep":
		r.Deep = true
	case "SoftDeleted": // nothing is ever deleted
		r.Match = func(*Folder) bool { return false }
	default:
		return nil, badAttr(e, "Traversal", t)
	}
	if r.Shape, err = parseShape(e); err != nil {
		return nil, err
	}
	if v := e.Child(NSMessages, "IndexedPageFolderView"); v != nil {
		for _, f := range []struct {
			name string
			min  int
			into *int
		}{{"MaxEntriesReturned", 1, &r.Max}, {"Offset", 0, &r.Offset}} {
			if s, ok := v.LookupAttr(f.name); ok {
				if *f.into, err = strconv.Atoi(s); err != nil || *f.into < f.min {
					return nil, badAttr(v, f.name, s)
				}
			}
		}
		r.FromEnd = v.AttrValue("BasePoint") == "End"
	}
	if m := e.Child(NSMessages, "Restriction"); m != nil && r.Match == nil {
		if len(m.Children) != 1 {
			return nil, violation(m, "The element 'Restriction' must have one child.")
		}
		if r.Match, err = parseSearch(m.Children[0]); err != nil {
			return nil, err
		}
	}
	r.Parents, err = ParseFolderRefs(e, "ParentFolderIds")
	return r, err
}

// A SyncFolderHierarchyRequest is SyncFolderHierarchy (5.2).
type SyncFolderHierarchyRequest struct {
	Shape  FolderShape
	Folder *FolderRef // nil: the whole mailbox
	State  string
}

// ParseSyncFolderHierarchy reads m:SyncFolderHierarchy.
func ParseSyncFolderHierarchy(e *soap.Element) (r *SyncFolderHierarchyRequest, err error) {
	r = &SyncFolderHierarchyRequest{State: e.ChildText(NSMessages, "SyncState")}
	if r.Shape, err = parseShape(e); err != nil {
		return nil, err
	}
	if e.Child(NSMessages, "SyncFolderId") != nil {
		refs, err := ParseFolderRefs(e, "SyncFolderId")
		if err != nil {
			return nil, err
		}
		r.Folder = &refs[0]
	}
	return r, nil
}

func parseShape(e *soap.Element) (s FolderShape, err error) {
	shape := e.Child(NSMessages, "FolderShape")
	if shape == nil {
		return s, missing(e, "FolderShape")
	}
	switch base := shape.ChildText(NSTypes, "BaseShape"); base {
	case "IdOnly":
	case "Default":
		s.Props = folderDefault
	case "AllProperties":
		s.Props = folderAll
	default:
		return s, badValue(shape, base)
	}
	more := shape.Child(NSTypes, "AdditionalProperties")
	if more == nil {
		return s, nil
	}
	for _, c := range more.Children {
		switch {
		case c.Is(NSTypes, "FieldURI"):
			s.Props |= folderFields[c.AttrValue("FieldURI")] // others have no value here
		case c.Is(NSTypes, "ExtendedFieldURI"):
			if tag, ok := parseTag(c); ok && !slices.Contains(s.Tags, tag) {
				s.Tags = append(s.Tags, tag)
			}
		}
	}
	return s, nil
}

// parseTag reads the PropertyTag of an ExtendedFieldURI, 0x hex or decimal; ok
// is false for tags that are not known here, and for named properties.
func parseTag(e *soap.Element) (tag uint16, ok bool) {
	n, err := strconv.ParseUint(e.AttrValue("PropertyTag"), 0, 16)
	if err != nil {
		return 0, false
	}
	return uint16(n), n == tagName || n == tagClass || n == tagHidden
}

// ParseFolderRefs reads the named child (m:) of a request, which has one folder or more.
func ParseFolderRefs(e *soap.Element, name string) ([]FolderRef, error) {
	list := e.Child(NSMessages, name)
	if list == nil {
		return nil, missing(e, name)
	}
	var refs []FolderRef
	for _, c := range list.Children {
		id, ok := c.LookupAttr("Id")
		if !ok || c.Space != NSTypes || c.Local != "FolderId" && c.Local != "DistinguishedFolderId" {
			return nil, violation(c, "The element '%s' is not allowed in '%s'.", clip(c.Local), name)
		}
		refs = append(refs, FolderRef{c.Local == "DistinguishedFolderId", id, c.Child(NSTypes, "Mailbox").ChildText(NSTypes, "EmailAddress")})
	}
	if len(refs) == 0 {
		return nil, missing(list, "FolderId")
	}
	return refs, nil
}

func badAttr(e *soap.Element, name, value string) error {
	return violation(e, "The '%s' attribute is invalid - the value %q is not allowed.", name, clip(value))
}

// AppendFolder writes f as its shape asks, without permissions.
func AppendFolder(b []byte, f *Folder, s FolderShape) []byte {
	b = append(append(append(b, `<t:`...), f.Kind...), '>')
	b = appendFolderID(b, "FolderId", f.ID, f.ChangeKey)
	if s.Props&FolderParent != 0 && f.ParentID != "" {
		b = appendFolderID(b, "ParentFolderId", f.ParentID, f.ParentChange)
	}
	if s.Props&FolderClass != 0 && f.Class != "" {
		b = appendElement(b, "t:FolderClass", f.Class)
	}
	if s.Props&FolderName != 0 {
		b = appendElement(b, "t:DisplayName", f.Name)
	}
	if s.Props&FolderTotal != 0 {
		b = appendInt(b, "t:TotalCount", f.Total)
	}
	if s.Props&FolderChildren != 0 {
		b = appendInt(b, "t:ChildFolderCount", f.Children)
	}
	for _, tag := range s.Tags {
		kind, value := "String", ""
		switch tag {
		case tagName:
			value = f.Name
		case tagClass:
			if value = f.Class; value == "" {
				continue
			}
		case tagHidden:
			kind, value = "Boolean", "false"
		}
		b = fmt.Appendf(b, `<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0x%x" PropertyType="%s"/>`, tag, kind)
		b = append(appendElement(b, "t:Value", value), `</t:ExtendedProperty>`...)
	}
	if s.Props&FolderRights != 0 {
		b = append(b, `<t:EffectiveRights><t:CreateAssociated>false</t:CreateAssociated><t:CreateContents>false</t:CreateContents><t:CreateHierarchy>false</t:CreateHierarchy>`+
			`<t:Delete>false</t:Delete><t:Modify>false</t:Modify><t:Read>true</t:Read></t:EffectiveRights>`...)
	}
	if s.Props&FolderDistinguished != 0 && f.Distinguished != "" {
		b = appendElement(b, "t:DistinguishedFolderId", f.Distinguished)
	}
	// Calendar and contact folders have no count of unread items.
	if s.Props&FolderUnread != 0 && (f.Kind == "Folder" || f.Kind == "TasksFolder") {
		b = appendInt(b, "t:UnreadCount", f.Unread)
	}
	return append(append(append(b, `</t:`...), f.Kind...), '>')
}

func appendFolderID(b []byte, name, id, changeKey string) []byte {
	b = append(append(append(b, `<t:`...), name...), ` Id="`...)
	b = soap.AppendAttr(b, id)
	b = append(b, `" ChangeKey="`...)
	return append(soap.AppendAttr(b, changeKey), `"/>`...)
}

// AppendFolders writes m:Folders, the content of a GetFolder message.
func AppendFolders(b []byte, folders []Folder, s FolderShape) []byte {
	b = append(b, `<m:Folders>`...)
	for i := range folders {
		b = AppendFolder(b, &folders[i], s)
	}
	return append(b, `</m:Folders>`...)
}

// AppendRootFolder writes m:RootFolder, the content of a FindFolder message.
// next is the offset at which to go on, total the number without paging.
func AppendRootFolder(b []byte, folders []Folder, s FolderShape, next, total int, last bool) []byte {
	b = append(b, `<m:RootFolder IndexedPagingOffset="`...)
	b = strconv.AppendInt(b, int64(next), 10)
	b = append(b, `" TotalItemsInView="`...)
	b = strconv.AppendInt(b, int64(total), 10)
	b = append(b, `" IncludesLastItemInRange="`...)
	b = append(strconv.AppendBool(b, last), `"><t:Folders>`...)
	for i := range folders {
		b = AppendFolder(b, &folders[i], s)
	}
	return append(b, `</t:Folders></m:RootFolder>`...)
}

// AppendFolderChanges writes the content of a SyncFolderHierarchy message: all
// folders as created.
func AppendFolderChanges(b []byte, state string, created []Folder, s FolderShape) []byte {
	b = appendElement(b, "m:SyncState", state)
	b = append(b, `<m:IncludesLastFolderInRange>true</m:IncludesLastFolderInRange><m:Changes>`...)
	for i := range created {
		b = append(AppendFolder(append(b, `<t:Create>`...), &created[i], s), `</t:Create>`...)
	}
	return append(b, `</m:Changes>`...)
}

// ErrRestriction: a search that this server cannot decide (ErrorUnsupportedPathForQuery).
var ErrRestriction = errors.New("the restriction is not supported")

// parseSearch makes a predicate of a SearchExpression (5.3) over class and name.
func parseSearch(e *soap.Element) (func(*Folder) bool, error) {
	switch e.Local {
	case "And", "Or", "Not":
		var parts []func(*Folder) bool
		for _, c := range e.Children {
			p, err := parseSearch(c)
			if err != nil {
				return nil, err
			}
			parts = append(parts, p)
		}
		if len(parts) == 0 {
			return nil, violation(e, "The element '%s' must have a child.", e.Local)
		}
		stop := e.Local == "Or" // the value that decides
		not := e.Local == "Not"
		return func(f *Folder) bool {
			for _, p := range parts {
				if not {
					return !p(f)
				}
				if p(f) == stop {
					return stop
				}
			}
			return !stop
		}, nil
	case "Exists", "IsEqualTo", "IsNotEqualTo", "Contains":
	default:
		return nil, fmt.Errorf("%w: %s", ErrRestriction, clip(e.Local))
	}
	if len(e.Children) == 0 {
		return nil, violation(e, "The element '%s' has incomplete content.", e.Local)
	}
	var get func(*Folder) string
	switch field := e.Children[0]; {
	case field.AttrValue("FieldURI") == "folder:FolderClass":
		get = func(f *Folder) string { return f.Class }
	case field.AttrValue("FieldURI") == "folder:DisplayName":
		get = func(f *Folder) string { return f.Name }
	default:
		tag, ok := parseTag(field)
		switch {
		case ok && tag == tagClass:
			get = func(f *Folder) string { return f.Class }
		case ok && tag == tagName:
			get = func(f *Folder) string { return f.Name }
		case ok && tag == tagHidden:
			get = func(*Folder) string { return "false" }
		case field.Local == "ExtendedFieldURI":
			get = func(*Folder) string { return "" } // no folder has it
		default:
			return nil, fmt.Errorf("%w: field %q", ErrRestriction, clip(field.AttrValue("FieldURI")))
		}
	}
	if e.Local == "Exists" {
		return func(f *Folder) bool { return get(f) != "" }, nil
	}
	constant := e.Child(NSTypes, "Constant")
	if constant == nil {
		constant = e.Child(NSTypes, "FieldURIOrConstant").Child(NSTypes, "Constant")
	}
	if constant == nil {
		return nil, fmt.Errorf("%w: %s without a constant", ErrRestriction, e.Local)
	}
	want := constant.AttrValue("Value")
	switch e.Local {
	case "IsEqualTo":
		return func(f *Folder) bool { return strings.EqualFold(get(f), want) }, nil
	case "IsNotEqualTo":
		return func(f *Folder) bool { return !strings.EqualFold(get(f), want) }, nil
	}
	mode := e.AttrValue("ContainmentMode")
	return func(f *Folder) bool {
		have, part := strings.ToLower(get(f)), strings.ToLower(want)
		switch mode {
		case "FullString":
			return have == part
		case "Prefixed":
			return strings.HasPrefix(have, part)
		}
		return strings.Contains(have, part)
	}, nil
}
