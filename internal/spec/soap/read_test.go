package soap_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/spec/soap"
)

const limit = 1 << 20

func TestReadXML(t *testing.T) {
	tests := []struct {
		name, in string
		want     *soap.Element
	}{
		{"namespaces resolve by scope", `<p:a xmlns:p="u" xmlns="d"><b/><c xmlns=""/><p:d xmlns:p="v" p:x="1" y="2"/></p:a>`,
			&soap.Element{Space: "u", Local: "a", Children: []*soap.Element{
				{Space: "d", Local: "b"}, {Local: "c"},
				{Space: "v", Local: "d", Attr: []soap.Attr{{Space: "v", Local: "x", Value: "1"}, {Local: "y", Value: "2"}}},
			}}},
		{"a prefix ends with its element", `<a><p:b xmlns:p="u"/><p:b xmlns:p="v"/></a>`,
			&soap.Element{Local: "a", Children: []*soap.Element{{Space: "u", Local: "b"}, {Space: "v", Local: "b"}}}},
		{"runs of text are joined, comments are nothing", `<a>x<!-- c -->y<![CDATA[<&]]>&lt;&#65;&#x42;</a>`, &soap.Element{Local: "a", Text: "xy<&<AB"}},
		{"white space between children is no text", "<a>\n <b> </b>\n <c/> \n</a>",
			&soap.Element{Local: "a", Children: []*soap.Element{{Local: "b", Text: " "}, {Local: "c"}}}},
		{"mixed content keeps its text", "<a> x <b/> y </a>", &soap.Element{Local: "a", Text: " x  y ", Children: []*soap.Element{{Local: "b"}}}},
		{"line ends are normalized, references are not", "<a b='1\r\n2\t3&#10;'>1\r\n2\r3&#13;</a>",
			&soap.Element{Local: "a", Attr: []soap.Attr{{Local: "b", Value: "1 2 3\n"}}, Text: "1\n2\n3\r"}},
		{"declaration, byte order mark, comments around", "\ufeff<?xml version='1.0' encoding='UTF-8' standalone=\"yes\" ?>\n<!-- a -->\n<a/><!--b--> ", &soap.Element{Local: "a"}},
		{"us-ascii", `<?xml version="1.0" encoding="us-ascii"?><a>x</a>`, &soap.Element{Local: "a", Text: "x"}},
		{"xml prefix needs no declaration", `<a xml:lang="en"/>`, &soap.Element{Local: "a", Attr: []soap.Attr{{Space: "http://www.w3.org/XML/1998/namespace", Local: "lang", Value: "en"}}}},
		{"letters beyond ASCII in names", `<é·/>`, &soap.Element{Local: "é·"}},
		{"end tag with white space", "<a></a \n>", &soap.Element{Local: "a"}},
		{"64 levels", strings.Repeat("<a>", 64) + strings.Repeat("</a>", 64), nest(64)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := soap.ReadXML(strings.NewReader(tt.in), limit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(dump(tt.want), dump(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// dump prints a tree without positions. (cmp.Diff over the tree itself takes
// time exponential in its depth.)
func dump(e *soap.Element) string { return string(appendElement(nil, e)) }

func nest(n int) *soap.Element {
	e := &soap.Element{Local: "a"}
	for range n - 1 {
		e = &soap.Element{Local: "a", Children: []*soap.Element{e}}
	}
	return e
}

func TestPositions(t *testing.T) {
	for text, want := range map[string]string{
		"<a>\n  äö<b/><c\n/>\n</a>":             "1 1 2 5 2 9",
		"<a>\n  ao<b/><c\n/>\n</a>":             "1 1 2 5 2 9",
		"\n\n <a><b>\n\n123456789</b> <c/></a>": "3 2 3 5 5 15",
	} {
		root, err := soap.ReadXML(strings.NewReader(text), limit)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(root.Line, root.Col, root.Children[0].Line, root.Children[0].Col, root.Children[1].Line, root.Children[1].Col)
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// Bytes are looked at eight at a time; one that is forbidden is found anywhere.
func TestForbiddenCharacterAnywhere(t *testing.T) {
	for _, c := range []byte{0, 1, 0x1f, 0x80, 0xff} {
		for at := range 20 {
			text := []byte("<a>" + strings.Repeat("x", 20) + "</a>")
			text[3+at] = c
			if _, err := soap.ReadXML(bytes.NewReader(text), limit); err == nil {
				t.Errorf("byte %#x at %d is taken", c, at)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	manyAttrs := func(n int) string {
		var b strings.Builder
		b.WriteString("<a")
		for i := range n {
			fmt.Fprintf(&b, ` a%d="1"`, i)
		}
		return b.String() + "/>"
	}
	manyNamespaces := func() string {
		var b strings.Builder
		for i := range 5 {
			b.WriteString("<a")
			for j := range 60 {
				fmt.Fprintf(&b, ` xmlns:p%d="u"`, i*60+j)
			}
			b.WriteString(">")
		}
		return b.String()
	}
	tests := []struct {
		name, in  string
		line, col int
		violation string
	}{
		{"empty", "", 1, 1, "no root element"},
		{"not XML", "hello", 1, 1, "text before the root element"},
		{"JSON", `{"a":1}`, 1, 1, "text before"},
		{"document type", "<?xml version=\"1.0\"?>\n<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", 2, 1, "document type declaration"},
		{"document type in the middle", "<a><!DOCTYPE b></a>", 1, 4, "document type declaration"},
		{"declared in lower case", "<!doctype html><html/>", 1, 1, "markup declarations"},
		{"processing instruction", `<?php x?><a/>`, 1, 1, "processing instructions"},
		{"processing instruction inside", `<a><?b c?></a>`, 1, 4, "processing instructions"},
		{"stylesheet", `<?xml-stylesheet href="x"?><a/>`, 1, 1, "processing instructions"},
		{"second declaration", `<?xml version="1.0"?><?xml version="1.0"?><a/>`, 1, 22, "processing instructions"},
		{"declaration after a blank", ` <?xml version="1.0"?><a/>`, 1, 2, "processing instructions"},
		{"version 1.1", `<?xml version="1.1"?><a/>`, 1, 7, "version"},
		{"no version", `<?xml encoding="utf-8"?><a/>`, 1, 7, "bad XML declaration"},
		{"nothing in the declaration", `<?xml ?><a/>`, 1, 7, "no version"},
		{"version twice", `<?xml version="1.0" version="1.0"?><a/>`, 1, 21, "bad XML declaration"},
		{"standalone before encoding", `<?xml version="1.0" standalone="no" encoding="utf-8"?><a/>`, 1, 37, "bad XML declaration"},
		{"declaration without end", `<?xml version="1.0"`, 1, 20, "bad XML declaration"},
		{"encoding not known", `<?xml version="1.0" encoding="utf-7"?><a/>`, 1, 21, "not supported"},
		{"encoding is a lie", `<?xml version="1.0" encoding="utf-16"?><a/>`, 1, 21, "not what the text is in"},
		{"not ASCII", `<?xml version="1.0" encoding="us-ascii"?><a>é</a>`, 1, 45, "not us-ascii"},
		{"Latin 1", "<a>\xe9</a>", 1, 4, "not UTF-8"},
		{"overlong", "<a>\xc0\xaf</a>", 1, 4, "not UTF-8"},
		{"surrogate", "<a>\xed\xa0\x80</a>", 1, 4, "not UTF-8"},
		{"zero byte", "<a>\x00</a>", 1, 4, "U+0000"},
		{"escape character", "<a>\n\x1b</a>", 2, 1, "U+001B"},
		{"U+FFFE", "<a>\ufffe</a>", 1, 4, "U+FFFE"},
		{"reference to a control character", "<a>&#1;</a>", 1, 4, "character reference"},
		{"reference to a surrogate", "<a>&#xD800;</a>", 1, 4, "character reference"},
		{"reference beyond Unicode", "<a>&#x110000;</a>", 1, 4, "character reference"},
		{"reference that overflows", "<a>&#4294967361;</a>", 1, 4, "character reference"},
		{"reference without digits", "<a>&#x;</a>", 1, 4, "character reference"},
		{"undeclared entity", "<a>&nbsp;</a>", 1, 4, `"nbsp"`},
		{"lone ampersand", "<a b='x & y'/>", 1, 9, `"&" without`},
		{"65 levels", strings.Repeat("<a>", 65), 1, 193, "nested deeper"},
		{"65 attributes", manyAttrs(65), 0, 0, "more than 64 attributes"},
		{"300 namespaces", manyNamespaces(), 0, 0, "more than 256 namespace"},
		{"same attribute", `<a b="1" b="2"/>`, 1, 10, "twice"},
		{"same attribute by another prefix", `<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>`, 1, 36, "twice"},
		{"same declaration", `<a xmlns:p="u" xmlns:p="v"/>`, 1, 16, "twice"},
		{"undeclared prefix", "<p:a/>", 1, 2, `prefix "p"`},
		{"undeclared attribute prefix", `<a p:b="1"/>`, 1, 4, `prefix "p"`},
		{"prefix out of scope", `<a><b xmlns:p="u"/><p:c/></a>`, 1, 21, `prefix "p"`},
		{"prefix undeclared again", `<a xmlns:p=""/>`, 1, 4, "undeclared"},
		{"xmlns as prefix", `<a xmlns:xmlns="u"/>`, 1, 4, "not allowed"},
		{"xml bound to another name", `<a xmlns:xml="u"/>`, 1, 4, "not allowed"},
		{"xml name by another prefix", `<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>`, 1, 4, "not allowed"},
		{"two colons", `<a:b:c xmlns:a="u"/>`, 1, 5, "bad name"},
		{"colon first", `<:a/>`, 1, 2, "bad name"},
		{"colon last", `<a:/>`, 1, 4, "a name is missing"},
		{"digit first", `<1a/>`, 1, 2, "bad name"},
		{"second root", "<a/><b/>", 1, 5, "second root"},
		{"text after the root", "<a/>x", 1, 5, "text before the end"},
		{"wrong end tag", "<a><b></a>", 1, 7, "does not match start tag <b>"},
		{"longer end tag", "<a></ab>", 1, 4, "does not match"},
		{"end tag with another prefix", `<p:a xmlns:p="u" xmlns:q="u"></q:a>`, 1, 30, "does not match"},
		{"end without start", "</a>", 1, 2, "a name is missing"},
		{"no end", "<a><b>", 1, 7, "ends inside <b>"},
		{"no end of tag", "<a ", 1, 4, "not well-formed"},
		{"attribute without value", "<a b/>", 1, 5, "without value"},
		{"attribute without quotes", "<a b=1/>", 1, 6, "without quotes"},
		{"attribute without end", `<a b="1/>`, 1, 6, "without end"},
		{"attributes without blank", `<a b="1"c="2"/>`, 1, 9, "not well-formed"},
		{"less-than in attribute", `<a b="<"/>`, 1, 7, `"<"`},
		{"CDATA end in text", "<a>]]></a>", 1, 4, "]]>"},
		{"CDATA without end", "<a><![CDATA[x</a>", 1, 4, "without end"},
		{"CDATA outside", "<![CDATA[x]]><a/>", 1, 1, "markup declarations"},
		{"comment without end", "<a><!-- </a>", 1, 4, "without end"},
		{"two dashes in comment", "<a><!-- -- --></a>", 1, 4, "inside a comment"},
		{"conditional section", "<a><![INCLUDE[x]]></a>", 1, 4, "markup declarations"},
		{"less-than alone", "<a>1 < 2</a>", 1, 7, "a name is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := soap.ReadXML(strings.NewReader(tt.in), limit)
			se, ok := errors.AsType[*soap.SyntaxError](err)
			if !ok {
				t.Fatalf("got error %v, want a SyntaxError", err)
			}
			if !strings.Contains(se.Violation, tt.violation) {
				t.Errorf("got violation %q, want it to say %q", se.Violation, tt.violation)
			}
			if tt.line != 0 && (se.Line != tt.line || se.Col != tt.col) {
				t.Errorf("got line %d, position %d, want %d, %d (%s)", se.Line, se.Col, tt.line, tt.col, se.Violation)
			}
		})
	}
}

func encode16(s string, order binary.AppendByteOrder) string {
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func TestUTF16(t *testing.T) {
	const doc = `<?xml version="1.0" encoding="utf-16"?><a>é 😀</a>`
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		got, err := soap.ReadXML(strings.NewReader(encode16(doc, order)), limit)
		if err != nil {
			t.Fatalf("%v: %v", order, err)
		}
		if got.Text != "é 😀" {
			t.Errorf("%v: got text %q", order, got.Text)
		}
	}
	for _, bad := range []string{"\xff\xfe<", "\xff\xfe\x00\xd8", "\xff\xfe\x00\xd8\x00\x00", "\xff\xfe\x00\xdc\x00\x00"} {
		var se *soap.SyntaxError
		if _, err := soap.ReadXML(strings.NewReader(bad), limit); !errors.As(err, &se) {
			t.Errorf("%q: got %v, want a SyntaxError", bad, err)
		}
	}
}

// A reader that counts, so that the limit is seen to hold before the end.
type counter struct{ n int64 }

func (c *counter) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestLimits(t *testing.T) {
	var c counter
	if _, err := soap.ReadXML(&c, limit); !errors.Is(err, soap.ErrTooLarge) {
		t.Errorf("endless input: got %v, want ErrTooLarge", err)
	}
	if c.n > 4*limit {
		t.Errorf("read %d bytes of an endless input, limit %d", c.n, limit)
	}
	const doc = "<a>12345</a>"
	if _, err := soap.ReadXML(strings.NewReader(doc), int64(len(doc))); err != nil {
		t.Errorf("document of the limit's size: %v", err)
	}
	if _, err := soap.ReadXML(strings.NewReader(doc), int64(len(doc))-1); !errors.Is(err, soap.ErrTooLarge) {
		t.Errorf("one byte over the limit: got %v, want ErrTooLarge", err)
	}
	if _, err := soap.ReadXML(strings.NewReader("<a>"+strings.Repeat("<b/>", 40000)+"</a>"), limit); !errors.Is(err, soap.ErrTooLarge) {
		t.Errorf("40000 elements: got %v, want ErrTooLarge", err)
	}
	broken := errors.New("broken pipe")
	if _, err := soap.ReadXML(io.MultiReader(strings.NewReader("<a>"), iotest.ErrReader(broken)), limit); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

// Text that comes in many runs must not cost the square of its length.
func TestManyRuns(t *testing.T) {
	const n = 150_000
	got, err := soap.ReadXML(strings.NewReader("<a>"+strings.Repeat("x<!---->", n)+"</a>"), 2<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != strings.Repeat("x", n) {
		t.Errorf("got %d characters, want %d", len(got.Text), n)
	}
}

func TestRead(t *testing.T) {
	const head = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">`
	env, err := soap.Read(strings.NewReader(head+`<s:Header><h xmlns="u"/></s:Header><s:Body><b xmlns="u">1</b></s:Body></s:Envelope>`), limit)
	if err != nil {
		t.Fatal(err)
	}
	if len(env.Header) != 1 || env.Header[0].Local != "h" || len(env.Body) != 1 || env.Body[0].Trimmed() != "1" {
		t.Errorf("got %+v", env)
	}
	for _, tt := range []struct {
		name, in string
		want     error
	}{
		{"SOAP 1.2", `<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"><Body/></Envelope>`, soap.ErrVersion12},
		{"other XML", `<html/>`, soap.ErrNotSOAP},
		{"https namespace", `<Envelope xmlns="https://schemas.xmlsoap.org/soap/envelope/"><Body/></Envelope>`, soap.ErrNotSOAP},
		{"no body", head + `<s:Header/></s:Envelope>`, soap.ErrNotSOAP},
		{"two bodies", head + `<s:Body/><s:Body/></s:Envelope>`, soap.ErrNotSOAP},
		{"header after body", head + `<s:Body/><s:Header/></s:Envelope>`, soap.ErrNotSOAP},
		{"two headers", head + `<s:Header/><s:Header/><s:Body/></s:Envelope>`, soap.ErrNotSOAP},
		{"body in no namespace", head + `<Body/></s:Envelope>`, soap.ErrNotSOAP},
	} {
		if _, err := soap.Read(strings.NewReader(tt.in), limit); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

// What we accept, encoding/xml reads as the same tree; and what we write of it
// parses back to the same tree.
func FuzzReadXML(f *testing.F) {
	for _, s := range []string{
		`<?xml version="1.0" encoding="utf-8"?><p:a xmlns:p="u" x="1" p:y="&amp;&#x41;"><b xmlns="d">t<![CDATA[<]]></b><!-- c --></p:a>`,
		"\xff\xfe<\x00a\x00/\x00>\x00", "<a>\r\n\t&lt;</a>", "<!DOCTYPE a><a/>", "<a><b></a></b>", `<a xmlns:p="u" p:b="1" b="2"/>`, "<a>]]></a>", "<é/>",
		string(soap.AppendFault(nil, &soap.Fault{Code: "ErrorServerBusy", String: "busy", ResponseCode: "ErrorServerBusy", Line: 1, Col: 2})),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := soap.ReadXML(strings.NewReader(string(in)), 1<<16)
		if err != nil {
			return
		}
		if !strings.HasPrefix(string(in), "\xff\xfe") && !strings.HasPrefix(string(in), "\xfe\xff") && ascii(in) {
			want, err := reference(in)
			if err != nil {
				t.Fatalf("we accept what encoding/xml refuses: %v", err)
			}
			if diff := cmp.Diff(dump(spaces(want)), dump(spaces(got))); diff != "" {
				t.Fatalf("we read another tree than encoding/xml (-encoding/xml +got)\n%s", diff)
			}
		}
		again, err := soap.ReadXML(strings.NewReader(string(appendElement(nil, got))), 1<<20)
		if err != nil {
			t.Fatalf("what we write does not parse: %v\n%s", err, appendElement(nil, got))
		}
		if diff := cmp.Diff(dump(got), dump(again)); diff != "" {
			t.Fatalf("what we write reads differently\n%s", diff)
		}
	})
}

// spaces makes line ends and tabs in text blanks, as they are for reference.
func spaces(e *soap.Element) *soap.Element {
	c := *e
	c.Text = strings.NewReplacer("\n", " ", "\t", " ").Replace(e.Text)
	c.Children = nil
	for _, child := range e.Children {
		c.Children = append(c.Children, spaces(child))
	}
	return &c
}

// ascii: encoding/xml has the names of an older edition of XML, and allows what
// we do not compare beyond ASCII.
func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// reference reads in with encoding/xml.
func reference(in []byte) (*soap.Element, error) {
	// encoding/xml does not normalize white space in attribute values.
	d := xml.NewDecoder(strings.NewReader(strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\t", " ").Replace(string(in))))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var root *soap.Element
	var stack []*soap.Element
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e := &soap.Element{Space: tok.Name.Space, Local: tok.Name.Local}
			for _, a := range tok.Attr {
				if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
					continue
				}
				e.Attr = append(e.Attr, soap.Attr{Space: a.Name.Space, Local: a.Name.Local, Value: a.Value})
			}
			if len(stack) > 0 {
				p := stack[len(stack)-1]
				if strings.Trim(p.Text, " \t\r\n") == "" {
					p.Text = ""
				}
				p.Children = append(p.Children, e)
			} else {
				root = e
			}
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				p := stack[len(stack)-1]
				if len(p.Children) == 0 || strings.Trim(string(tok), " \t\r\n") != "" {
					p.Text += string(tok)
				}
			}
		}
	}
}

// appendElement writes e with a prefix for each namespace.
func appendElement(b []byte, e *soap.Element) []byte {
	b = fmt.Appendf(b, `<%s xmlns="%s"`, e.Local, soap.AppendAttr(nil, e.Space))
	for i, a := range e.Attr {
		switch a.Space {
		case "":
			b = fmt.Appendf(b, ` %s="`, a.Local)
		case "http://www.w3.org/XML/1998/namespace":
			b = fmt.Appendf(b, ` xml:%s="`, a.Local)
		default:
			b = fmt.Appendf(b, ` xmlns:p%d="%s" p%d:%s="`, i, soap.AppendAttr(nil, a.Space), i, a.Local)
		}
		b = append(soap.AppendAttr(b, a.Value), '"')
	}
	b = append(b, '>')
	b = soap.AppendText(b, e.Text)
	for _, c := range e.Children {
		b = appendElement(b, c)
	}
	return fmt.Appendf(b, "</%s>", e.Local)
}

func FuzzAppend(f *testing.F) {
	for _, s := range []string{"", "a<b>&\"'c", "\x00\x1b\r\n\t", "\xff\ufffe", "é😀]]>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.Map(func(r rune) rune {
			if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
				return 0xfffd
			}
			return r
		}, s)
		doc := append(soap.AppendAttr([]byte(`<a b="`), s), `">x`...)
		doc = append(soap.AppendText(doc, s), `</a>`...)
		got, err := soap.ReadXML(strings.NewReader(string(doc)), 1<<24)
		if err != nil {
			t.Fatal(err)
		}
		if got.Text != "x"+want || got.AttrValue("b") != want {
			t.Fatalf("got %q and %q, want %q", got.Text, got.AttrValue("b"), want)
		}
	})
}

func FuzzFault(f *testing.F) {
	f.Add("ErrorServerBusy", "text", "ErrorServerBusy", "m", "BackOffMilliseconds", "1", 3, 4, "v")
	f.Add("Client", "text", "", "", "", "", 0, 0, "")
	f.Fuzz(func(t *testing.T, code, text, rc, message, name, value string, line, col int, violation string) {
		fault := &soap.Fault{Code: code, String: text, ResponseCode: rc, Message: message, Line: line, Col: col, Violation: violation, Values: []soap.Value{{Name: name, Value: value}}}
		env, err := soap.Read(strings.NewReader(string(soap.AppendFault(nil, fault))), 1<<24)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := soap.FaultOf(env)
		if !ok {
			t.Fatal("what we write is read as no fault")
		}
		if got.ResponseCode == "" { // no detail is written without
			return
		}
		// What was read is clean, and so survives another round as it is.
		env, err = soap.Read(strings.NewReader(string(soap.AppendFault(nil, got))), 1<<24)
		if err != nil {
			t.Fatal(err)
		}
		again, ok := soap.FaultOf(env)
		if !ok {
			t.Fatal("second round: no fault")
		}
		got.Code, again.Code = "", "" // a code with colons loses its first part each time
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("second round (-first +second)\n%s", diff)
		}
	})
}

// What was read before leaves nothing in the memory that is used again.
func TestReleasedMemoryIsEmpty(t *testing.T) {
	document := func(n int) string {
		return `<s:Envelope xmlns:s="` + soap.NS + `"><s:Header><h a="1">x</h></s:Header><s:Body>` + strings.Repeat(`<b c="d">t<i/>u</b>`, n) + `</s:Body></s:Envelope>`
	}
	for _, n := range []int{1, 63, 64, 65, 500, 2000, 3} {
		env, err := soap.Read(strings.NewReader(document(n)), limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(env.Body) != n || len(env.Header) != 1 {
			t.Fatalf("%d: %d in the body, %d in the header", n, len(env.Body), len(env.Header))
		}
		for _, e := range append(slices.Clone(env.Body), env.Header...) {
			want := soap.Element{Local: "b", Attr: []soap.Attr{{Local: "c", Value: "d"}}, Text: "tu", Children: []*soap.Element{{Local: "i"}}}
			if e.Local == "h" {
				want = soap.Element{Local: "h", Attr: []soap.Attr{{Local: "a", Value: "1"}}, Text: "x"}
			}
			if diff := cmp.Diff(&want, e, cmpopts.IgnoreFields(soap.Element{}, "Line", "Col", "Off")); diff != "" {
				t.Fatalf("%d (-want +got):\n%s", n, diff)
			}
		}
		text := env.Body[0].Text
		env.Release()
		env.Release() // nothing happens
		if text != "tu" || env.Body != nil {
			t.Errorf("after release: %q, %v", text, env.Body)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	text := `<s:Envelope xmlns:s="` + soap.NS + `"><s:Body>` + strings.Repeat(`<b><c>text</c></b>`, 50) + `</s:Body></s:Envelope>`
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		env, err := soap.Read(strings.NewReader(text), limit)
		if err != nil {
			b.Fatal(err)
		}
		env.Release()
	}
}
