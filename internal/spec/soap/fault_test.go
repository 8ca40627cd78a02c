package soap_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/soap"
)

func TestFault(t *testing.T) {
	tests := []struct {
		name  string
		fault soap.Fault
		want  string
	}{
		{"schema violation", soap.Fault{Code: "ErrorSchemaValidation", String: "The request failed schema validation: x < y", ResponseCode: "ErrorSchemaValidation",
			Message: "The request failed schema validation.", Line: 2, Col: 630, Violation: "x < y"},
			`<faultcode xmlns:a="http://schemas.microsoft.com/exchange/services/2006/types">a:ErrorSchemaValidation</faultcode><faultstring xml:lang="en-US">The request failed schema validation: x &lt; y</faultstring><detail><e:ResponseCode xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">ErrorSchemaValidation</e:ResponseCode><e:Message xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">The request failed schema validation.</e:Message><t:MessageXml xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><t:LineNumber>2</t:LineNumber><t:LinePosition>630</t:LinePosition><t:Violation>x &lt; y</t:Violation></t:MessageXml></detail>`},
		{"busy", soap.Fault{Code: "ErrorServerBusy", String: "The server cannot service this request right now. Try again later.", ResponseCode: "ErrorServerBusy",
			Message: "m", Values: []soap.Value{{Name: "BackOffMilliseconds", Value: "297749"}}},
			`<faultcode xmlns:a="http://schemas.microsoft.com/exchange/services/2006/types">a:ErrorServerBusy</faultcode><faultstring xml:lang="en-US">The server cannot service this request right now. Try again later.</faultstring><detail><e:ResponseCode xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">ErrorServerBusy</e:ResponseCode><e:Message xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">m</e:Message><t:MessageXml xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><t:Value Name="BackOffMilliseconds">297749</t:Value></t:MessageXml></detail>`},
		{"SOAP's own code, no detail", soap.Fault{Code: "VersionMismatch", String: "v"}, `<faultcode>s:VersionMismatch</faultcode><faultstring xml:lang="en-US">v</faultstring>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := string(soap.AppendFault(nil, &tt.fault))
			want := "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" + `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>` + tt.want + `</s:Fault></s:Body></s:Envelope>`
			if diff := cmp.Diff(want, text); diff != "" {
				t.Errorf("written (-want +got)\n%s", diff)
			}
			env, err := soap.Read(strings.NewReader(text), limit)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := soap.FaultOf(env)
			if !ok {
				t.Fatal("no fault read")
			}
			if diff := cmp.Diff(&tt.fault, got); diff != "" {
				t.Errorf("read (-want +got)\n%s", diff)
			}
		})
	}
}

func TestFaultOf(t *testing.T) {
	tests := []struct {
		name, in string
		want     *soap.Fault
	}{
		{"Exchange 2007", `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault><faultcode>soap:Client</faultcode><faultstring>The request failed schema validation.</faultstring><detail><e:ErrorCode xmlns:e="u">-2146233088</e:ErrorCode></detail></soap:Fault></soap:Body></soap:Envelope>`,
			&soap.Fault{Code: "Client", String: "The request failed schema validation.", Values: []soap.Value{{Name: "ErrorCode", Value: "-2146233088"}}}},
		{"parts in the SOAP namespace", `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fault><faultcode> Server </faultcode><faultstring>x</faultstring></Fault></Body></Envelope>`,
			&soap.Fault{Code: "Server", String: "x"}},
		{"an answer", `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><x/></Body></Envelope>`, nil},
		{"an empty body", `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body/></Envelope>`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env, err := soap.Read(strings.NewReader(tt.in), limit)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := soap.FaultOf(env)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
