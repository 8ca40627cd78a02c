package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"busybridge/bench/dataset"
	"busybridge/bench/meter"
)

// forwarding measures P10: a question for people of another organization, beside
// what passes the same bytes on without looking at them.
func (r *run) forwarding(ctx context.Context) (rows []meter.Row, err error) {
	f := &field{}
	defer func() { err = errors.Join(err, f.stop()) }()
	week := dataset.Weeks()[0]
	sizes := []int{1, 20}
	bodies := filepath.Join(r.dir, "foreign")
	if err := os.MkdirAll(bodies, 0o700); err != nil {
		return nil, err
	}
	questions := map[int]question{}
	for _, n := range sizes {
		own := ask(pointers(r.set[:n]), week)
		b, err := r.basic.post(ctx, r.basic.url, own.body, nil)
		if err != nil {
			return nil, err
		}
		if _, err := own.right(b); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(bodies, fmt.Sprint(n)), b, 0o600); err != nil {
			return nil, err
		}
		// The other organization has people of the same names, and as busy.
		theirs := slices.Clone(r.set[:n])
		for i := range theirs {
			theirs[i].Address = strings.Replace(theirs[i].Address, dataset.Domain, partnerDomain, 1)
		}
		questions[n] = ask(pointers(theirs), week)
	}
	other, address, err := r.serve(ctx, role{Is: asForeign, Listen: r.foreign, Bodies: bodies})
	if err != nil {
		return nil, err
	}
	f.started(other)
	proxy, front, err := r.serve(ctx, role{Is: asProxy, To: "https://" + address})
	if err != nil {
		return nil, err
	}
	f.started(proxy)
	if err := r.addForwarder(f, r.basic, r.program, questions); err != nil {
		return nil, err
	}
	// The proxies are asked by one who has a token of the other side.
	through, err := newTarget("ReverseProxy", r.certFile, foreignHost, front, r.bearer.auth)
	if err != nil {
		return nil, err
	}
	if err := r.addForwarder(f, through, proxy, questions); err != nil {
		return nil, err
	}
	if child, front, err := r.startNginx(ctx, address); err != nil {
		return nil, err
	} else if child != nil {
		f.started(child)
		t, err := newTarget("nginx", r.certFile, foreignHost, front, r.bearer.auth)
		if err != nil {
			return nil, err
		}
		if err := r.addForwarder(f, t, child, questions); err != nil {
			return nil, err
		}
	}
	for _, n := range sizes {
		spent := map[string][]time.Duration{}
		for range r.rounds {
			for _, c := range f.all {
				res, err := r.load.Run(ctx, c.child, c.asker(fmt.Sprint(n), r.load.Workers))
				if err != nil {
					return nil, err
				}
				spent[c.name] = append(spent[c.name], res.Each())
			}
		}
		p, g, x := micros(meter.Median(spent[r.basic.name])), micros(meter.Median(spent["ReverseProxy"])), micros(meter.Median(spent["nginx"]))
		row := meter.Row{Name: fmt.Sprintf("P10 forwarding a week of %d mailboxes", n), Figure: fmt.Sprintf("%.0f µs a question", p), Beside: fmt.Sprintf("ReverseProxy %.0f", g), Ratio: p / g,
			Gate: meter.AtMost(p, 2*g, "2 ReverseProxy"), Moonshot: meter.AtMost(p, 2*x, "2 nginx")}
		if x > 0 {
			row.Beside += fmt.Sprintf(", nginx %.0f", x)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func pointers(set []dataset.Mailbox) []*dataset.Mailbox {
	out := make([]*dataset.Mailbox, len(set))
	for i := range set {
		out[i] = &set[i]
	}
	return out
}

// addForwarder lets it answer, and adds it when it was right.
func (r *run) addForwarder(f *field, t *target, child *meter.Child, questions map[int]question) error {
	kinds, right := map[string]*kind{}, map[string]verified{}
	for n, q := range questions {
		name := fmt.Sprint(n)
		kinds[name] = &kind{name: fmt.Sprintf("%d foreign mailboxes", n), questions: []question{q}, mailboxes: n}
		v, _, err := t.verify(context.Background(), kinds[name])
		if err != nil {
			return err
		}
		right[name] = v
	}
	f.all = append(f.all, &contender{t.name, child, func(kind string, workers int) func(context.Context, int) error {
		return t.asker(kinds[kind], right[kind], workers)
	}})
	return nil
}

// startNginx starts it in front of the address; nil: it is not installed.
func (r *run) startNginx(ctx context.Context, to string) (*meter.Child, string, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		return nil, "", nil //nolint:nilerr // that is the answer
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Join(r.dir, "nginx")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	// The workers stay who they are: the certificate's key is readable to us alone.
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	conf := user + `daemon off; pid DIR/pid; error_log DIR/error.log; worker_processes 2;
events { worker_connections 256; }
http {
  access_log DIR/access.log;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  keepalive_requests 1000000;
  upstream other { server ` + to + `; keepalive 64; keepalive_requests 1000000; }
  server {
    listen ` + ports[0] + ` ssl;
    ssl_certificate ` + r.certFile + `; ssl_certificate_key ` + filepath.Join(r.dir, "server.key") + `; ssl_protocols TLSv1.3;
    location / {
      proxy_pass https://other; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host ` + foreignHost + `;
      proxy_ssl_server_name on; proxy_ssl_name ` + foreignHost + `; proxy_ssl_verify on; proxy_ssl_trusted_certificate ` + r.certFile + `; proxy_ssl_protocols TLSv1.3;
      proxy_buffers 16 32k; proxy_buffer_size 32k;
    }
  }
}
`
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(conf, "DIR", dir)), 0o600); err != nil {
		return nil, "", err
	}
	c, err := meter.Spawn(ctx, filepath.Join(dir, "log"), binary, "-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log"))
	if err != nil {
		return nil, "", err
	}
	if err := listening(ctx, ports[0]); err != nil {
		c.Stop()
		return nil, "", fmt.Errorf("nginx: %w", err)
	}
	return c, ports[0], nil
}
