package authorityclient

import (
	"context"
	"fmt"
	"net/http"
)

// maxJSON is the longest JSON document that is read.
const maxJSON = 1 << 20

// FetchJSON reads the document at address as it is: an OpenID provider's
// configuration or its keys. It has the bounds of FetchMetadata.
func (c *Client) FetchJSON(ctx context.Context, address string) ([]byte, error) {
	body, _, err := c.do(ctx, http.MethodGet, address, "application/json", "", "", maxJSON)
	if err != nil {
		return nil, fmt.Errorf("document at %s: %w", address, err)
	}
	return body, nil
}
