package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands and names in a shell",
		Long: "Prints a completion script for " + list(shells) + ".\n\n" +
			"  bash:  source <(myelin completion bash)\n" +
			"  zsh:   myelin completion zsh > \"${fpath[1]}/_myelin\"\n" +
			"  fish:  myelin completion fish > ~/.config/fish/completions/myelin.fish",
		Args:      oneName("shell"),
		ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return c.Root().GenBashCompletionV2(a.term.Out, true)
			case "zsh":
				return c.Root().GenZshCompletion(a.term.Out)
			case "fish":
				return c.Root().GenFishCompletion(a.term.Out, true)
			case "powershell":
				return c.Root().GenPowerShellCompletionWithDesc(a.term.Out)
			}
			return usage("shell %s: want %s%s", args[0], list(shells), suggest(args[0], shells))
		},
	}
}
