package ews_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/ews"
)

func TestRestriction(t *testing.T) {
	equal := func(value string) string {
		return `<t:IsEqualTo><t:ExtendedFieldURI PropertyTag="0x3613" PropertyType="String"/><t:FieldURIOrConstant><t:Constant Value="` + value + `"/></t:FieldURIOrConstant></t:IsEqualTo>`
	}
	contains := func(mode, value string) string {
		return `<t:Contains ContainmentMode="` + mode + `"><t:FieldURI FieldURI="folder:DisplayName"/><t:Constant Value="` + value + `"/></t:Contains>`
	}
	folder := &ews.Folder{Class: "IPF.Appointment", Name: "Calendar"}
	tests := []struct {
		name, in string
		want     bool
		err      error
	}{
		{"equal class", equal("ipf.appointment"), true, nil},
		{"other class", equal("IPF.Note"), false, nil},
		{"not", `<t:Not>` + equal("IPF.Note") + `</t:Not>`, true, nil},
		{"and", `<t:And>` + equal("IPF.Appointment") + equal("IPF.Note") + `</t:And>`, false, nil},
		{"or", `<t:Or>` + equal("IPF.Note") + equal("IPF.Appointment") + `</t:Or>`, true, nil},
		{"or of none", `<t:Or>` + equal("IPF.Note") + equal("IPF.Task") + `</t:Or>`, false, nil},
		{"prefix", contains("Prefixed", "cal"), true, nil},
		{"not the prefix", contains("Prefixed", "end"), false, nil},
		{"substring", contains("Substring", "end"), true, nil},
		{"full string", contains("FullString", "end"), false, nil},
		{"exists", `<t:Exists><t:FieldURI FieldURI="folder:FolderClass"/></t:Exists>`, true, nil},
		{"a named property does not exist", `<t:Exists><t:ExtendedFieldURI PropertyName="x" PropertyType="String"/></t:Exists>`, false, nil},
		{"not equal", `<t:IsNotEqualTo><t:FieldURI FieldURI="folder:DisplayName"/><t:FieldURIOrConstant><t:Constant Value="x"/></t:FieldURIOrConstant></t:IsNotEqualTo>`, true, nil},
		{"field that is not kept", `<t:Exists><t:FieldURI FieldURI="folder:SearchParameters"/></t:Exists>`, false, ews.ErrRestriction},
		{"operator that is not kept", `<t:IsGreaterThan/>`, false, ews.ErrRestriction},
		{"field with field", `<t:IsEqualTo><t:FieldURI FieldURI="folder:DisplayName"/><t:FieldURIOrConstant><t:FieldURI FieldURI="folder:FolderClass"/></t:FieldURIOrConstant></t:IsEqualTo>`, false, ews.ErrRestriction},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := envelope(t, open+mid+`<m:FindFolder Traversal="Shallow"><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:Restriction>`+tt.in+
				`</m:Restriction><m:ParentFolderIds><t:DistinguishedFolderId Id="root"/></m:ParentFolderIds></m:FindFolder>`+end)
			r, err := ews.ParseFindFolder(env.Body[0])
			if !errors.Is(err, tt.err) {
				t.Fatalf("got error %v, want %v", err, tt.err)
			}
			if err == nil && r.Match(folder) != tt.want {
				t.Errorf("got %v, want %v", !tt.want, tt.want)
			}
		})
	}
}

func TestFolderShape(t *testing.T) {
	f := &ews.Folder{Kind: "CalendarFolder", ID: "i", ChangeKey: "c", ParentID: "p", ParentChange: "d", Class: "IPF.Appointment", Name: "Calendar", Distinguished: "calendar", Children: 1}
	tests := []struct{ name, shape, want string }{
		{"id only", `<t:BaseShape>IdOnly</t:BaseShape>`, `<t:CalendarFolder><t:FolderId Id="i" ChangeKey="c"/></t:CalendarFolder>`},
		{"default", `<t:BaseShape>Default</t:BaseShape>`, `<t:CalendarFolder><t:FolderId Id="i" ChangeKey="c"/><t:DisplayName>Calendar</t:DisplayName><t:TotalCount>0</t:TotalCount><t:ChildFolderCount>1</t:ChildFolderCount></t:CalendarFolder>`},
		{"more, once, in the order of the schema", `<t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties><t:FieldURI FieldURI="folder:DistinguishedFolderId"/><t:ExtendedFieldURI PropertyTag="4340" PropertyType="Boolean"/><t:ExtendedFieldURI PropertyTag="0x10F4" PropertyType="Boolean"/><t:ExtendedFieldURI PropertyTag="0x3613" PropertyType="String"/><t:ExtendedFieldURI PropertyName="x" PropertyType="String"/><t:FieldURI FieldURI="folder:ParentFolderId"/></t:AdditionalProperties>`,
			`<t:CalendarFolder><t:FolderId Id="i" ChangeKey="c"/><t:ParentFolderId Id="p" ChangeKey="d"/><t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0x10f4" PropertyType="Boolean"/><t:Value>false</t:Value></t:ExtendedProperty><t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0x3613" PropertyType="String"/><t:Value>IPF.Appointment</t:Value></t:ExtendedProperty><t:DistinguishedFolderId>calendar</t:DistinguishedFolderId></t:CalendarFolder>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := envelope(t, open+mid+`<m:GetFolder><m:FolderShape>`+tt.shape+`</m:FolderShape><m:FolderIds><t:FolderId Id="i"/></m:FolderIds></m:GetFolder>`+end)
			r, err := ews.ParseGetFolder(env.Body[0])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(ews.AppendFolder(nil, f, r.Shape))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
