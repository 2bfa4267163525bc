package amazon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// identity is who asks.
type identity struct{ found *credentials.Credentials }

// newIdentity is that of a key, or, if there is none, of whoever the environment
// says: AWS_ACCESS_KEY_ID and its like, the shared file of credentials, or the role
// of the container or machine.
func newIdentity(key, secret string) identity {
	if key != "" {
		return identity{credentials.NewStaticV4(key, secret, "")}
	}
	return identity{credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	})}
}

// rolePatience bounds the wait for who tells of a role; where nobody does, it is
// found out soon.
const rolePatience = 5 * time.Second

func (i identity) get(ctx context.Context) (aws.Credentials, error) {
	if err := ctx.Err(); err != nil {
		return aws.Credentials{}, err
	}
	v, err := i.found.GetWithContext(&credentials.CredContext{Client: &http.Client{Timeout: rolePatience}})
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("find credentials: %w", err)
	}
	if v.AccessKeyID == "" {
		return aws.Credentials{}, errors.New("find credentials: the trigger has no key and secret, and neither the environment, the shared file nor a role has any")
	}
	return aws.Credentials{AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken}, nil
}
