package ews_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

func TestGetFolderRequestIsReadBack(t *testing.T) {
	for _, want := range []ews.FolderRef{
		{Distinguished: true, ID: "calendar"},
		{Distinguished: true, ID: "calendar", Mailbox: `"a&b<c>"@contoso.com`},
	} {
		h := ews.Header{Version: "Exchange2013_SP1"}
		env, err := soap.Read(strings.NewReader(string(ews.AppendGetFolderRequest(nil, &h, want))), 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ews.ParseGetFolder(env.Body[0])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]ews.FolderRef{want}, got.Folders); d != "" {
			t.Error(d)
		}
		if read, err := ews.ParseHeader(env.Header); err != nil || read.Version != h.Version {
			t.Errorf("header %+v, %v", read, err)
		}
	}
}

func TestFirstError(t *testing.T) {
	const head = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="` + ews.NSMessages + `"><s:Body>`
	const good = `<m:GetFolderResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode></m:GetFolderResponseMessage>`
	const bad = `<m:GetFolderResponseMessage ResponseClass="Error"><m:MessageText>T.</m:MessageText><m:ResponseCode>C</m:ResponseCode></m:GetFolderResponseMessage>`
	for body, want := range map[string]string{
		`<m:R><m:ResponseMessages>` + good + bad + `</m:ResponseMessages></m:R>`: "C T.",
		`<m:R><m:ResponseMessages>` + good + `</m:ResponseMessages></m:R>`:       "",
		`<m:R/>`: "", "": "",
	} {
		env, err := soap.Read(strings.NewReader(head+body+`</s:Body></s:Envelope>`), 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := ews.FirstError(env)
		if got := strings.TrimSpace(m.Code + " " + m.Text); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", body, got, ok)
		}
	}
}
