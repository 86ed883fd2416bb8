using System.CommandLine;
using Tern.Cli.Conversion;
using Tern.Cli.Input;
using Tern.Cli.Terminal;

namespace Tern.Cli.Verbs;

/// <summary><c>tern quantize</c>: the same model with its linear layers in another tensor type.</summary>
internal static class QuantizeVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var input = new Argument<string>("IN") { Description = "A model file or folder, or the name of a model that comes with tern." };
        var output = new Argument<string>("OUT.gguf") { Description = "The file to write; it appears whole or not at all." };
        var type = new Argument<string>("TYPE") { Description = $"Type of the linear layers: {string.Join(", ", RecodingRun.TypeNames)}." };
        type.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !RecodingRun.TypeNames.Contains(token.Value, StringComparer.OrdinalIgnoreCase))
                result.AddError($"'{token.Value}' is not a TYPE: it takes {string.Join(", ", RecodingRun.TypeNames[..^1])} or {RecodingRun.TypeNames[^1]}");
        });
        var command = new Command("quantize", "Write a model with its linear layers in another type; between ternary types nothing is lost.") { input, output, type };
        RecodingRun run = RecodingRun.AddTo(command, "as they are", "as it is", interrupt);
        command.SetAction(result => run.Run(
            result,
            ModelArgument.Resolve(result.GetValue(input)),
            result.GetValue(output)!,
            RecodingRun.TypeOf(result.GetValue(type)),
            embeddingsOtherwise: null));
        return command;
    }
}
