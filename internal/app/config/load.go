package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// EnvPrefix begins the name of every variable that replaces a key:
// BUSYBRIDGE_LIMITS_DEADLINE is limits.deadline.
const EnvPrefix = "BUSYBRIDGE_"

// PasswordVariable holds the password of whoever runs a command. It is no key.
const PasswordVariable = EnvPrefix + "PASSWORD"

const (
	maxFile  = 1 << 20 // bytes of a configuration file or a file it names
	maxDepth = 8       // of nested YAML
)

// source is where a Config came from.
type source struct {
	file     string         // name of the file
	lines    map[string]int // dotted key -> line, of the keys in the file
	problems []Problem      // found while reading
	unread   bool           // it is no YAML; nothing more can be said
}

// Default is the configuration with every default and nothing else.
func Default() *Config {
	c := &Config{}
	forEachField(reflect.ValueOf(c).Elem(), "", func(f field) {
		if text, ok := f.tag("default"); ok {
			if err := setText(f.value, text); err != nil {
				panic(fmt.Sprintf("config: default of %s: %v", f.key, err)) // held by a test
			}
		}
	})
	return c
}

// Load reads the file at path and the variables of environ ("NAME=value") that
// begin with EnvPrefix. Names of files in it become relative to path's folder.
//
// When anything is wrong, the error is an *InvalidError with all problems, and
// the Config is what could be read, for Problems. It is nil only when the file
// could not be read.
func Load(path string, environ []string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, data, environ)
}

// Parse is Load for the content of a file. It changes no file, but looks at
// those that the configuration names.
func Parse(path string, data []byte, environ []string) (*Config, error) {
	c := Default()
	c.source = source{file: path, lines: map[string]int{}}
	c.readYAML(data)
	c.readEnviron(environ)
	c.resolvePaths(filepath.Dir(path))
	if all := c.Problems(); slices.ContainsFunc(all, func(p Problem) bool { return !p.Warning }) {
		return c, &InvalidError{File: path, Problems: all}
	}
	return c, nil
}

// A Problem is one thing that is wrong or doubtful in a configuration.
type Problem struct {
	Line    int    // in the file; 0: not from the file
	Key     string // dotted, or the name of a variable
	Text    string
	Warning bool // the node starts nevertheless
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Text
}

// An InvalidError holds everything that is wrong with a configuration.
type InvalidError struct {
	File     string
	Problems []Problem // warnings included
}

func (e *InvalidError) Error() string {
	lines := []string{"configuration " + e.File + " is not valid"}
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n  ")
}

// problem notes what was found wrong with a key while reading.
func (c *Config) problem(line int, key, format string, args ...any) {
	c.source.problems = append(c.source.problems, Problem{Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (c *Config) readYAML(data []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return // an empty file: all defaults
	case err != nil:
		line, text := yamlError(err)
		c.problem(line, "", "%s", text)
		c.source.unread = true
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		c.problem(0, "", "the file holds more than one document")
	}
	c.readNode(doc.Content[0], reflect.ValueOf(c).Elem(), "", 0)
}

// yamlError takes the line out of "yaml: line 3: did not find …".
func yamlError(err error) (int, string) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if n, t, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(n); err == nil {
				return line, t
			}
		}
	}
	return 0, text
}

// readNode sets v from n and notes every problem under its key. An empty value
// (null) leaves the default.
func (c *Config) readNode(n *yaml.Node, v reflect.Value, key string, depth int) {
	if key != "" {
		c.source.lines[key] = n.Line
	}
	switch {
	case depth > maxDepth:
		c.problem(n.Line, key, "is nested too deeply")
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		c.problem(n.Line, key, "anchors and aliases are not supported")
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
	case isText(v):
		if n.Kind != yaml.ScalarNode {
			c.problem(n.Line, key, "must be a single value")
		} else if err := setText(v, n.Value); err != nil {
			c.problem(n.Line, key, "%v", err)
		}
	case v.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			c.problem(n.Line, key, "must be a list")
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, e := range n.Content {
			c.readNode(e, v.Index(i), fmt.Sprintf("%s[%d]", key, i), depth+1)
		}
	default: // a struct or a map
		if n.Kind != yaml.MappingNode {
			c.problem(n.Line, key, "must be keys with values")
			return
		}
		c.readMapping(n, v, key, depth)
	}
}

func (c *Config) readMapping(n *yaml.Node, v reflect.Value, key string, depth int) {
	first := map[string]int{} // key -> line
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		name := join(key, k.Value)
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			c.problem(k.Line, key, "keys must be plain words")
			continue
		}
		if line, ok := first[k.Value]; ok {
			c.problem(k.Line, name, "is given twice, first in line %d", line)
			continue
		}
		first[k.Value] = k.Line
		if v.Kind() == reflect.Map {
			e := reflect.New(v.Type().Elem()).Elem()
			c.readNode(val, e, name, depth+1)
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(reflect.ValueOf(k.Value), e)
			continue
		}
		f, known := fieldByKey(v, k.Value)
		if !known {
			c.problem(k.Line, name, "is no known key%s", didYouMean(k.Value, keysOf(v)))
			continue
		}
		c.readNode(val, f, name, depth+1)
	}
}

// readEnviron sets the fields that variables name. Lists are separated by
// commas, the entries of a map are "key=value".
func (c *Config) readEnviron(environ []string) {
	byName := map[string]field{}
	var names []string
	forEachField(reflect.ValueOf(c).Elem(), "", func(f field) {
		byName[EnvName(f.key)] = f
		names = append(names, EnvName(f.key))
	})
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == PasswordVariable {
			continue
		}
		f, ok := byName[name]
		if !ok {
			c.source.problems = append(c.source.problems, Problem{Key: name, Warning: true, Text: "is no known variable" + didYouMean(name, names)})
			continue
		}
		if err := setText(f.value, text); err != nil {
			c.problem(0, name, "%v", err)
		}
		// What the file said no longer holds, and its line would mislead.
		for k := range c.source.lines {
			if k == f.key || strings.HasPrefix(k, f.key+"[") || strings.HasPrefix(k, f.key+".") {
				delete(c.source.lines, k)
			}
		}
		c.source.problems = slices.DeleteFunc(c.source.problems, func(p Problem) bool {
			return p.Line > 0 && (p.Key == f.key || strings.HasPrefix(p.Key, f.key+"[") || strings.HasPrefix(p.Key, f.key+"."))
		})
	}
}

// EnvName is the variable that replaces a key: node.host_names is
// BUSYBRIDGE_NODE_HOST_NAMES.
func EnvName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func (c *Config) resolvePaths(dir string) {
	forEachField(reflect.ValueOf(c).Elem(), "", func(f field) {
		if _, ok := f.tag("path"); !ok {
			return
		}
		for _, s := range f.strings() {
			if *s != "" && !filepath.IsAbs(*s) {
				*s = filepath.Join(dir, *s)
			}
		}
	})
}

// A field is a leaf of the configuration.
type field struct {
	key   string // dotted
	value reflect.Value
	def   reflect.StructField
}

func (f field) tag(name string) (string, bool) { return f.def.Tag.Lookup(name) }

// strings are the places of the string or strings in f.
func (f field) strings() []*string {
	switch p := f.value.Addr().Interface().(type) {
	case *string:
		return []*string{p}
	case *[]string:
		var all []*string
		for i := range *p {
			all = append(all, &(*p)[i])
		}
		return all
	}
	return nil
}

// forEachField calls fn for every leaf below v, in order.
func forEachField(v reflect.Value, key string, fn func(field)) {
	for i := range v.NumField() {
		def := v.Type().Field(i)
		name, ok := def.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		if f := v.Field(i); f.Kind() == reflect.Struct && !isText(f) {
			forEachField(f, join(key, name), fn)
		} else {
			fn(field{join(key, name), f, def})
		}
	}
}

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if name, ok := v.Type().Field(i).Tag.Lookup("yaml"); ok && name == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keysOf(v reflect.Value) []string {
	var keys []string
	for i := range v.NumField() {
		if name, ok := v.Type().Field(i).Tag.Lookup("yaml"); ok {
			keys = append(keys, name)
		}
	}
	return keys
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// isText reports whether v is set from one scalar.
func isText(v reflect.Value) bool {
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return true
	}
	switch v.Kind() {
	case reflect.String, reflect.Int, reflect.Int64, reflect.Bool:
		return true
	}
	return false
}

// setText sets v from text as it stands in a scalar, a default tag or a variable.
func setText(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration such as 25s or 8h", text)
		}
		*p = d
	case encoding.TextUnmarshaler:
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("%q is not valid: %w", text, err)
		}
	case *string:
		*p = text
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		*p = n
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		*p = b
	case *map[string]string:
		m := map[string]string{}
		for _, e := range splitList(text) {
			k, val, ok := strings.Cut(e, "=")
			if !ok {
				return fmt.Errorf("%q is not of the form key=value", e)
			}
			m[strings.TrimSpace(k)] = strings.TrimSpace(val)
		}
		*p = m
	default:
		if v.Kind() != reflect.Slice {
			return fmt.Errorf("cannot be set from text: %s", v.Type()) // held by a test of all fields
		}
		parts := splitList(text)
		list := reflect.MakeSlice(v.Type(), len(parts), len(parts))
		for i, s := range parts {
			if err := setText(list.Index(i), s); err != nil {
				return err
			}
		}
		v.Set(list)
	}
	return nil
}

// splitList reads "a, b" and "[a, b]".
func splitList(text string) []string {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	var list []string
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// didYouMean names the known word that is at most two letters away.
func didYouMean(word string, known []string) string {
	best, dist := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < dist {
			best, dist = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's, for short words.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost = 1 + min(diag, row[j], row[j+1])
			}
			diag, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// readFile reads a regular file of bounded size; it does not wait on a pipe or
// a device.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is no regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is larger than %d bytes", maxFile)}
	}
	return data, err
}
