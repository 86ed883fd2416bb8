using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Measure;
using Tern.Models;

namespace Tern.Cli.Verbs;

/// <summary><c>tern embed</c>: one vector per text.</summary>
internal static class EmbedVerb
{
    private const int ValuesShown = 8;

    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Argument<string?> text = ModelArgument.CreateText("TEXT", "Text to embed; left out: standard input.");
        Option<bool> json = OptionOf.Flag("--json", "Read a JSON array of strings or of arrays of token ids from standard input, write a JSON array of arrays of numbers.");
        var command = new Command("embed", "Compute embeddings with an embedding model (L2 normalised).") { model, text, json };
        ModelOptionsBinding options = ModelOptionsBinding.AddTo(command);
        command.SetAction(result =>
        {
            (string path, string? given) = ModelArgument.Resolve(result.GetValue(model), result.GetValue(text));
            bool asJson = result.GetValue(json);
            if (asJson && given is not null)
                throw new UsageException("--json reads its texts from standard input; leave TEXT out");

            using JsonDocument? document = asJson ? JsonInput.Read() : null;
            string? single = asJson ? null : given ?? TextInput.ReadStandardInput();
            using Model loaded = LoadedModel.Load(path, options.Options(result), interrupt.Token);
            int[][] lists = document is null ? [loaded.Tokenizer.Encode(single!)] : Lists(document.RootElement, loaded);
            JsonInput.CheckIds(lists, loaded.Spec.VocabularySize);
            int positions = Positions(lists, options.Context(result) is > 0 and var limit ? limit : loaded.Spec.ContextLength);

            using var probe = new EmbeddingProbe(loaded, positions);
            if (asJson)
                WriteJson(probe, lists, interrupt.Token);
            else
                WriteText(probe.Run(lists[0], interrupt.Token), lists[0].Length);
            return ExitCode.Success;
        });
        return command;
    }

    private static int[][] Lists(JsonElement root, Model model) =>
    [
        .. JsonInput.Items(root, "an array of strings or of arrays of token ids").Select((item, index) =>
            item.ValueKind == JsonValueKind.String ? model.Tokenizer.Encode(JsonInput.Text(item, index)) : JsonInput.Ids(item, index)),
    ];

    private static int Positions(int[][] lists, int limit)
    {
        for (int i = 0; i < lists.Length; i++)
        {
            if (lists[i].Length == 0)
                throw new TernException(ErrorKind.Request, $"item {i} is empty; an embedding needs at least one token");
            if (lists[i].Length > limit)
                throw new TernException(ErrorKind.Request, $"item {i} has {lists[i].Length} tokens, the context holds {limit}");
        }

        return Math.Max(1, lists.Select(l => l.Length).DefaultIfEmpty().Max());
    }

    private static void WriteText(float[] embedding, int tokens)
    {
        IEnumerable<string> values = embedding.Take(ValuesShown).Select(v => v.ToString("0.0000", CultureInfo.InvariantCulture));
        Console.Out.WriteLine($"{embedding.Length} dimensions, {tokens} tokens: {string.Join(' ', values)} …");
    }

    private static void WriteJson(EmbeddingProbe probe, int[][] lists, CancellationToken cancellation)
    {
        using var output = new JsonOutput();
        output.Writer.WriteStartArray();
        foreach (int[] ids in lists)
            output.WriteNumbers(probe.Run(ids, cancellation));
        output.Writer.WriteEndArray();
        output.EndLine();
    }
}
