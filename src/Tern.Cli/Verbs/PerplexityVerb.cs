using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Measure;
using Tern.Models;

namespace Tern.Cli.Verbs;

/// <summary><c>tern perplexity</c>: how well a model predicts a text, by the rule that llama.cpp's figures follow.</summary>
internal static class PerplexityVerb
{
    private const int ContextDefault = 512;

    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Option<string?> file = OptionOf.Text("--file", "TEXT", "The text; left out: standard input.", "-f");
        Option<bool> json = OptionOf.Flag("--json", "Write one JSON object.");
        Option<string> kv = KvOption.Create("f32");
        var command = new Command("perplexity", "Measure how well a model predicts a text (windows of --context tokens, 512 unless told; the second half of each is scored).")
        {
            model, file, json, kv,
        };
        ModelOptionsBinding options = ModelOptionsBinding.AddTo(command);
        command.SetAction(result =>
        {
            string path = ModelArgument.Resolve(result.GetValue(model));
            string text = result.GetValue(file) is { } name ? TextInput.ReadFile(name) : TextInput.ReadStandardInput();
            int asked = options.Context(result);
            if (asked is > 0 and < 4)
                throw new UsageException($"--context {asked} is too small for perplexity: it takes at least 4");

            using Model loaded = LoadedModel.Load(path, options.Options(result), interrupt.Token);
            int context = asked > 0 ? asked : Math.Min(ContextDefault, loaded.Spec.ContextLength);
            if (context > loaded.Spec.ContextLength)
                Messages.Warning($"a context of {context} is more than the {loaded.Spec.ContextLength} that the model was trained for");

            PerplexityReport report = Work.Measure(
                "perplexity",
                progress => Perplexity.Measure(loaded, text, context, KvOption.Read(result.GetValue(kv)), progress, interrupt.Token));
            if (result.GetValue(json))
                WriteJson(report, context);
            else
                WriteText(report, context);
            return ExitCode.Success;
        });
        return command;
    }

    private static void WriteText(PerplexityReport report, int context) =>
        Console.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"perplexity {report.Value:0.0000} ± {report.StandardError:0.0000}  ({report.BitsPerByte:0.0000} bits per byte; {report.Tokens} tokens scored in {report.Chunks} windows of {context})"));

    private static void WriteJson(PerplexityReport report, int context)
    {
        using var output = new JsonOutput();
        Utf8JsonWriter writer = output.Writer;
        writer.WriteStartObject();
        writer.WriteNumber("perplexity", report.Value);
        writer.WriteNumber("standardError", report.StandardError);
        writer.WriteNumber("tokens", report.Tokens);
        writer.WriteNumber("bitsPerByte", report.BitsPerByte);
        writer.WriteNumber("context", context);
        writer.WriteNumber("windows", report.Chunks);
        writer.WriteString("rule", "llama.cpp");
        writer.WriteEndObject();
        output.EndLine();
    }
}
