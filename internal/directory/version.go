package directory

import (
	"fmt"
	"strconv"
	"strings"
)

// A Version is the AdminDisplayVersion of a node: 15.0 (Build 847.32).
type Version struct{ Major, Minor, Build, Revision int }

// OAuthVersion is the first version that knows connectors and OAuth
// (article: Exchange 2013 SP1, 15.0 Build 847.32).
var OAuthVersion = Version{15, 0, 847, 32}

// ParseVersion reads "15.0.847.32", "15.00.0847.032" or "Version 15.0 (Build 847.32)".
func ParseVersion(s string) (Version, error) {
	t := strings.NewReplacer("Version ", "", " (Build ", ".", ")", "").Replace(strings.TrimSpace(s))
	parts := strings.Split(t, ".")
	if len(parts) < 2 || len(parts) > 4 {
		return Version{}, fmt.Errorf("version %q: want major.minor[.build[.revision]]", s)
	}
	var n [4]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v < 0 || v > 1<<16 {
			return Version{}, fmt.Errorf("version %q: %q is no number", s, p)
		}
		n[i] = v
	}
	return Version{n[0], n[1], n[2], n[3]}, nil
}

// String is the form of AdminDisplayVersion.
func (v Version) String() string {
	return fmt.Sprintf("Version %d.%d (Build %d.%d)", v.Major, v.Minor, v.Build, v.Revision)
}

// Padded is the form of ExternalEwsVersion: 15.00.0847.032.
func (v Version) Padded() string {
	return fmt.Sprintf("%02d.%02d.%04d.%03d", v.Major, v.Minor, v.Build, v.Revision)
}

// Less orders versions.
func (v Version) Less(o Version) bool {
	a, b := [4]int{v.Major, v.Minor, v.Build, v.Revision}, [4]int{o.Major, o.Minor, o.Build, o.Revision}
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// MarshalText and UnmarshalText store the dotted form.
func (v Version) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%d.%d.%d", v.Major, v.Minor, v.Build, v.Revision), nil
}

func (v *Version) UnmarshalText(b []byte) (err error) {
	*v, err = ParseVersion(string(b))
	return err
}
