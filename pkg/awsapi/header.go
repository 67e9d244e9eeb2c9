package awsapi

import "context"

// SetHeader sets a header of the response that the handler's answer or error will be sent with. Outside of a request it
// does nothing. It must not be called after the handler has returned.
func SetHeader(ctx context.Context, key, value string) {
	if h := callOf(ctx).header; h != nil {
		h.Set(key, value)
	}
}
