package ews_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

func TestFindItemRequest(t *testing.T) {
	start := time.Date(2026, 3, 2, 1, 0, 0, 0, time.FixedZone("", 3600))
	const envelope = `<?xml version="1.0" encoding="utf-8"?>` + "\n" +
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types">`
	const body = `<s:Body><m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>` +
		`<t:FieldURI FieldURI="item:Subject"/><t:FieldURI FieldURI="item:Sensitivity"/><t:FieldURI FieldURI="item:ReminderIsSet"/><t:FieldURI FieldURI="calendar:UID"/>` +
		`<t:FieldURI FieldURI="calendar:RecurrenceId"/><t:FieldURI FieldURI="calendar:DateTimeStamp"/><t:FieldURI FieldURI="calendar:Start"/><t:FieldURI FieldURI="calendar:End"/>` +
		`<t:FieldURI FieldURI="calendar:LegacyFreeBusyStatus"/><t:FieldURI FieldURI="calendar:Location"/><t:FieldURI FieldURI="calendar:IsMeeting"/><t:FieldURI FieldURI="calendar:CalendarItemType"/>` +
		`</t:AdditionalProperties></m:ItemShape><m:CalendarView MaxEntriesReturned="1000" StartDate="2026-03-02T00:00:00Z" EndDate="2026-03-03T00:00:00Z"/>`
	for _, tt := range []struct {
		name string
		q    ews.FindItemRequest
		want string
	}{
		{"as a delegate", ews.FindItemRequest{Header: ews.Header{Version: "Exchange2013"}, Mailbox: "a&b@contoso.com"},
			`<s:Header><t:RequestServerVersion Version="Exchange2013"/></s:Header>` + body +
				`<m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"><t:Mailbox><t:EmailAddress>a&amp;b@contoso.com</t:EmailAddress></t:Mailbox></t:DistinguishedFolderId></m:ParentFolderIds></m:FindItem></s:Body></s:Envelope>`},
		{"as the owner", ews.FindItemRequest{Header: ews.Header{Version: "Exchange2013", Impersonate: &ews.ConnectingSID{Kind: "SmtpAddress", Value: "ana@contoso.com"}}},
			`<s:Header><t:RequestServerVersion Version="Exchange2013"/><t:ExchangeImpersonation><t:ConnectingSID><t:SmtpAddress>ana@contoso.com</t:SmtpAddress></t:ConnectingSID></t:ExchangeImpersonation></s:Header>` + body +
				`<m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"></t:DistinguishedFolderId></m:ParentFolderIds></m:FindItem></s:Body></s:Envelope>`},
	} {
		tt.q.Start, tt.q.End, tt.q.Max = start, start.AddDate(0, 0, 1), 1000
		if d := cmp.Diff(envelope+tt.want, string(ews.AppendFindItemRequest(nil, &tt.q))); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}

// exchangeFindItem is in the shape in which Exchange writes it.
const exchangeFindItem = `<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><h:ServerVersionInfo MajorVersion="15" MinorVersion="1" MajorBuildNumber="2507" MinorBuildNumber="6" Version="V2017_07_11" xmlns:h="http://schemas.microsoft.com/exchange/services/2006/types" xmlns="http://schemas.microsoft.com/exchange/services/2006/types"/></s:Header>` +
	`<s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><m:FindItemResponse xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><m:ResponseMessages>` +
	`<m:FindItemResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:RootFolder TotalItemsInView="3" IncludesLastItemInRange="true"><t:Items>` +
	`<t:CalendarItem><t:ItemId Id="AAMkAGE=" ChangeKey="DwAAABY="/><t:Subject>Budget &amp; more</t:Subject><t:Sensitivity>Private</t:Sensitivity><t:ReminderIsSet>true</t:ReminderIsSet><t:UID>040000008200E00074C5B7101A82E008</t:UID><t:RecurrenceId>2026-03-02T09:00:00Z</t:RecurrenceId><t:DateTimeStamp>2026-02-20T08:00:00Z</t:DateTimeStamp><t:Start>2026-03-02T09:15:00Z</t:Start><t:End>2026-03-02T10:00:00Z</t:End><t:LegacyFreeBusyStatus>Busy</t:LegacyFreeBusyStatus><t:Location>R1</t:Location><t:IsMeeting>true</t:IsMeeting><t:CalendarItemType>Exception</t:CalendarItemType></t:CalendarItem>` +
	`<t:CalendarItem><t:ItemId Id="AAMkAGI=" ChangeKey="DwAAABY="/><t:Start>2026-03-03T09:15:00</t:Start><t:End>2026-03-03T10:00:00+01:00</t:End><t:LegacyFreeBusyStatus>OOF</t:LegacyFreeBusyStatus><t:IsMeeting>0</t:IsMeeting></t:CalendarItem>` +
	`<t:Message><t:ItemId Id="AAMkAGM="/></t:Message><t:CalendarItem><t:ItemId Id="AAMkAGQ="/><t:Start>soon</t:Start></t:CalendarItem>` +
	`</t:Items></m:RootFolder></m:FindItemResponseMessage></m:ResponseMessages></m:FindItemResponse></s:Body></s:Envelope>`

func readFindItem(t testing.TB, text string) (*ews.FindItemResponse, error) {
	t.Helper()
	env, err := soap.Read(strings.NewReader(text), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return ews.ParseFindItemResponse(env)
}

func TestFindItemResponse(t *testing.T) {
	got, err := readFindItem(t, exchangeFindItem)
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, h, m int) time.Time { return time.Date(2026, 3, day, h, m, 0, 0, time.UTC) }
	stamp := time.Date(2026, 2, 20, 8, 0, 0, 0, time.UTC)
	want := &ews.FindItemResponse{Message: ews.ResponseMessage{Class: "Success", Code: "NoError"}, Whole: true, Items: []ews.CalendarItem{
		{UID: "040000008200E00074C5B7101A82E008", RecurrenceID: new(at(2, 9, 0)), Stamp: &stamp, Start: at(2, 9, 15), End: at(2, 10, 0), BusyType: "Busy",
			Subject: "Budget & more", Location: "R1", Type: "Exception", Sensitivity: "Private", Meeting: true, Reminder: true},
		{Start: at(3, 9, 15), End: at(3, 9, 0), BusyType: "OOF"},
		{},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("response (-want +got):\n%s", d)
	}
	for name, tt := range map[string]struct {
		old, with string
		whole, ok bool
	}{
		"cut":                        {`IncludesLastItemInRange="true"`, `IncludesLastItemInRange="false"`, false, true},
		"a server that says nothing": {` IncludesLastItemInRange="true"`, ``, true, true},
		"an error":                   {`ResponseClass="Success"><m:ResponseCode>NoError`, `ResponseClass="Error"><m:ResponseCode>ErrorAccessDenied`, false, true},
		"another answer":             {`m:FindItemResponse`, `m:FindFolderResponse`, false, false},
		"no message":                 {`FindItemResponseMessage`, `GetItemResponseMessage`, false, false},
		"no folder":                  {`m:RootFolder`, `m:Folder`, false, false},
	} {
		got, err := readFindItem(t, strings.ReplaceAll(exchangeFindItem, tt.old, tt.with))
		if (err == nil) != tt.ok || err == nil && got.Whole != tt.whole {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzFindItemResponse(f *testing.F) {
	f.Add(exchangeFindItem)
	f.Fuzz(func(t *testing.T, text string) {
		env, err := soap.Read(strings.NewReader(text), 1<<20)
		if err != nil {
			return
		}
		r, err := ews.ParseFindItemResponse(env)
		if err == nil && !r.Message.OK() && len(r.Items) > 0 {
			t.Error("an error with items")
		}
	})
}
