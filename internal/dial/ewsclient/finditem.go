package ewsclient

import (
	"context"
	"fmt"

	"busybridge/internal/spec/ews"
)

// FindItem reads a part of a calendar at the EWS endpoint. anchor is the mailbox
// that the request is routed by. Errors are those of GetUserAvailability.
func (c *Client) FindItem(ctx context.Context, endpoint, anchor string, req *ews.FindItemRequest) (*ews.FindItemResponse, error) {
	env, where, err := c.post(ctx, endpoint, "FindItem", req.RequestID, anchor, ews.AppendFindItemRequest(nil, req), nil)
	if err != nil {
		return nil, err
	}
	defer env.Release()
	resp, err := ews.ParseFindItemResponse(env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", where, ErrNotXML, err)
	}
	return resp, nil
}
