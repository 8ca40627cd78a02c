package safehttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"busybridge/internal/dial/safehttp"
)

func TestOnce(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		case "/silent":
			<-release
		case "/half":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			<-release
		default:
			_, _ = io.Copy(w, r.Body)
		}
	}))
	defer srv.Close()
	defer close(release)
	once := func(path string, timeout time.Duration) (string, int, error) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, strings.NewReader("text"))
		if err != nil {
			t.Fatal(err)
		}
		c := safehttp.Client(srv.Client().Transport, safehttp.Config{Timeout: timeout})
		resp, err := safehttp.Once(c, r)
		if err != nil {
			return "", 0, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), resp.StatusCode, err
	}
	if got, status, err := once("/", time.Minute); got != "text" || status != http.StatusOK || err != nil {
		t.Errorf("got %q, %d, %v", got, status, err)
	}
	if _, status, err := once("/moved", time.Minute); status != http.StatusTemporaryRedirect || err != nil {
		t.Errorf("redirect: got %d, %v", status, err)
	}
	_, _, err := once("/silent", 20*time.Millisecond)
	if ue, ok := errors.AsType[*url.Error](err); !ok || ue.Op != "Post" || ue.URL != srv.URL+"/silent" || !ue.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: got %v", err)
	}
	if got, _, err := once("/half", 50*time.Millisecond); got != "half" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("half an answer: got %q, %v", got, err)
	}
}
