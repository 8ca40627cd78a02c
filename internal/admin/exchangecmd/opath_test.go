package exchangecmd

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/object"
)

// filterSample is a recipient for the tests of filters.
var filterSample = map[string]any{
	"alias": "kim", "displayname": "O'Neil [Sales]", "hidden": true, "capacity": int32(12), "seats": nil,
	"addresses": object.Strings("SMTP:kim@contoso.com", "smtp:k@contoso.com"), "none": &object.Array{},
	"created": time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC), "title": nil,
}

func testScope() filterScope {
	samples := map[string]any{
		"alias": "", "displayname": "", "hidden": false, "capacity": int32(0), "seats": int32(0), "addresses": "", "none": "", "created": time.Time{}, "title": "",
	}
	return filterScope{
		sample: func(name string) (any, bool) { v, ok := samples[strings.ToLower(name)]; return v, ok },
		variable: func(name string) any {
			return map[string]any{"who": "kim", "yes": true, "n": int32(12)}[name]
		},
	}
}

func TestFilterHolds(t *testing.T) {
	for _, c := range []struct {
		filter string
		want   bool
	}{
		{"Alias -eq 'kim'", true},
		{"alias -EQ 'KIM'", true},
		{`Alias -eq "kim"`, true},
		{"Alias -eq kim", true},
		{"Alias -ne 'kim'", false},
		{"Alias -ne 'lee'", true},
		{"Alias -like 'k*'", true},
		{"Alias -like '*i*'", true},
		{"Alias -like 'k?m'", false},
		{"Alias -notlike 'l*'", true},
		{"DisplayName -eq 'O''Neil [Sales]'", true},
		{"DisplayName -like '*[Sales]'", true},
		{"Alias -gt 'kil'", true},
		{"Alias -le 'kim'", true},
		{"Alias -lt 'kim'", false},
		{"Hidden -eq $true", true},
		{"Hidden -eq 'true'", true},
		{"Hidden -ne $true", false},
		{"Hidden -eq $false", false},
		{"Capacity -ge 12", true},
		{"Capacity -gt 12", false},
		{"Capacity -lt 100", true},
		{"Seats -lt 100", false},
		{"Seats -eq $null", true},
		{"Title -eq $null", true},
		{"Title -ne $null", false},
		{"Alias -ne $null", true},
		{"None -eq $null", true},
		{"None -ne $null", false},
		{"Addresses -ne $null", true},
		{"Addresses -like '*k@contoso.com'", true},
		{"Addresses -notlike '*k@contoso.com'", false},
		{"Addresses -eq 'smtp:K@contoso.com'", true},
		{"Addresses -ne 'smtp:k@contoso.com'", false},
		{"Created -gt '5/6/2014'", true},
		{"Created -lt '5/6/2014'", false},
		{"Alias -eq 'kim' -and Capacity -eq 12", true},
		{"Alias -eq 'lee' -or Capacity -eq 12", true},
		{"Alias -eq 'lee' -or Alias -eq 'ann' -or Alias -eq 'kim'", true},
		{"-not Alias -eq 'kim'", false},
		{"-not (Alias -eq 'kim' -and Hidden -eq $false)", true},
		{"!(Alias -eq 'kim')", false},
		{"((Alias -eq 'lee') -or (Alias -eq 'kim')) -and (Hidden -eq $true)", true},
		{"Alias -eq $who", true},
		{"Hidden -eq $yes", true},
		{"Capacity -eq $n", true},
	} {
		f, err := parseFilter(c.filter, testScope())
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if got := f.holds(func(name string) any { return filterSample[strings.ToLower(name)] }); got != c.want {
			t.Errorf("%s is %t", c.filter, got)
		}
	}
}

func TestFilterRefusals(t *testing.T) {
	const help = " For a description of the filter parameter syntax see the command help. "
	for _, c := range []struct{ filter, want string }{
		{"", `Invalid filter syntax: a property name is missing.` + help + `"" at position 1.`},
		{"Alias", `Invalid filter syntax: one of -eq, -ne, -like, -notlike, -gt, -lt, -ge and -le is missing.` + help + `"Alias" at position 6.`},
		{"Alias -match 'x'", `Invalid filter syntax: one of -eq, -ne, -like, -notlike, -gt, -lt, -ge and -le is missing.` + help + `"Alias -match 'x'" at position 7.`},
		{"Alias -eq", `Invalid filter syntax: a value is missing.` + help + `"Alias -eq" at position 10.`},
		{"Alias -eq )", `Invalid filter syntax: a value is missing.` + help + `"Alias -eq )" at position 11.`},
		{"Shoe -eq 'x'", `"Shoe" is not a recognized filterable property.` + help + `"Shoe -eq 'x'" at position 1.`},
		{"Alias -eq 'x", `Invalid filter syntax: the closing quotation mark is missing.` + help + `"Alias -eq 'x" at position 11.`},
		{"(Alias -eq 'x'", `Invalid filter syntax: a closing parenthesis is missing.` + help + `"(Alias -eq 'x'" at position 15.`},
		{"Alias -eq 'x')", `Invalid filter syntax.` + help + `"Alias -eq 'x')" at position 14.`},
		{"Alias -eq $nobody", `The variable $nobody has no value.` + help + `"Alias -eq $nobody" at position 11.`},
		{"Alias -eq $_.Alias", `Invalid filter syntax: only $true, $false, $null and the name of a variable are possible here; quote the filter in " to have an expression replaced by its value.` + help + `"Alias -eq $_.Alias" at position 11.`},
		{"Capacity -gt many", `The value "many" could not be converted to type Int32.` + help + `"Capacity -gt many" at position 14.`},
		{"Created -gt 'soon'", `The value "soon" could not be converted to type DateTime.` + help + `"Created -gt 'soon'" at position 13.`},
		{"Hidden -eq 'perhaps'", `The value "perhaps" could not be converted to type Boolean.` + help + `"Hidden -eq 'perhaps'" at position 12.`},
		{"Alias -like $null", `-like and -notlike take a text.` + help + `"Alias -like $null" at position 13.`},
		{"Alias -eq 'a' -and Alias -eq 'b' -or Alias -eq 'c'", `-and and -or need parentheses that say which belongs together.` + help + `"Alias -eq 'a' -and Alias -eq 'b' -or Alias -eq 'c'" at position 37.`},
	} {
		_, err := parseFilter(c.filter, testScope())
		if err == nil {
			t.Errorf("%q was taken", c.filter)
			continue
		}
		if d := cmp.Diff(c.want, err.Error()); d != "" {
			t.Error(d)
		}
	}
	for _, long := range []string{strings.Repeat("(", maxFilterDepth+2), strings.Repeat("-not ", maxFilterDepth+2), "Alias -eq '" + strings.Repeat("x", maxFilterLength) + "'"} {
		if _, err := parseFilter(long, testScope()); err == nil {
			t.Errorf("a filter of %d bytes was taken", len(long))
		}
	}
}

// What a filter prints parses again, to a filter that prints the same and holds
// for the same.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"Alias -eq 'kim'", "-not (Alias -like 'k*' -and !Hidden -eq $true)", "Capacity -ge 12 -or Title -eq $null", `DisplayName -eq "O'Neil"`,
		"Created -gt '5/6/2014'", "Alias -eq $who", "((Alias -ne x))", "Addresses -notlike '*@contoso.com'", "Alias -eq ''''", "Alias -eq 'a' -and",
	} {
		f.Add(s)
	}
	get := func(name string) any { return filterSample[strings.ToLower(name)] }
	f.Fuzz(func(t *testing.T, text string) {
		first, err := parseFilter(text, testScope())
		if err != nil {
			return
		}
		again, err := parseFilter(first.String(), testScope())
		if err != nil {
			if len(first.String()) > maxFilterLength || strings.Count(text, "(")+strings.Count(text, "-")+strings.Count(text, "!") >= maxFilterDepth/2 {
				return // what is printed may be longer or nested deeper
			}
			t.Fatalf("%q prints as %q: %v", text, first, err)
		}
		if first.String() != again.String() || first.holds(get) != again.holds(get) {
			t.Fatalf("%q prints as %q, and that as %q", text, first, again)
		}
	})
}
