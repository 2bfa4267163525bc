package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// token asks the endpoint for a token; the client does so for each connection.
func (o *OAuth) token(ctx context.Context) (oauth.Auth, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(o.Scopes) > 0 {
		form.Set("scope", strings.Join(o.Scopes, " "))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return oauth.Auth{}, fmt.Errorf("ask for token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret.Reveal()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return oauth.Auth{}, fmt.Errorf("ask for token: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return oauth.Auth{}, fmt.Errorf("ask for token: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return oauth.Auth{}, fmt.Errorf("ask for token: %s answers %s", o.TokenURL, resp.Status)
	}
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(text, &got); err != nil || got.Token == "" {
		return oauth.Auth{}, errors.Join(fmt.Errorf("ask for token: no access_token in what %s answers", o.TokenURL), err)
	}
	return oauth.Auth{Token: got.Token}, nil
}
