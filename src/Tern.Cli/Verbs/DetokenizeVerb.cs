using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Files;
using Tern.Models;
using Tern.Text;

namespace Tern.Cli.Verbs;

/// <summary><c>tern detokenize</c>: token ids to text.</summary>
internal static class DetokenizeVerb
{
    private static readonly char[] s_separators = [' ', ',', '\t', '\r', '\n', '[', ']'];

    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Option<bool> json = OptionOf.Flag("--json", "Read a JSON array of arrays of ids, write a JSON array of strings; without it: ids with spaces or commas between them.");
        Option<bool> special = OptionOf.Flag("--special", "Show control tokens instead of leaving them out.");
        Option<string?> pre = OptionOf.Text("--pre", "NAME", "Pre-tokenizer to use instead of the one that the file names.");
        var command = new Command("detokenize", "Turn token ids from standard input into text.") { model, json, special, pre };
        command.SetAction(result =>
        {
            using ModelSource file = Model.Open(ModelArgument.Resolve(result.GetValue(model)), new ModelOptions { PreTokenizer = result.GetValue(pre) });
            Tokenizer tokenizer = VocabularyFile.Read(file, result.GetValue(pre));
            if (result.GetValue(json))
                WriteJson(tokenizer, result.GetValue(special), interrupt.Token);
            else
                Console.Out.WriteLine(tokenizer.Decode(ReadIds(tokenizer.Count), result.GetValue(special)));
            return ExitCode.Success;
        });
        return command;
    }

    private static void WriteJson(Tokenizer tokenizer, bool special, CancellationToken cancellation)
    {
        using JsonDocument document = JsonInput.Read();
        int[][] lists = JsonInput.IdLists(document.RootElement);
        JsonInput.CheckIds(lists, tokenizer.Count);
        using var output = new JsonOutput();
        output.Writer.WriteStartArray();
        foreach (int[] ids in lists)
        {
            cancellation.ThrowIfCancellationRequested();
            output.Writer.WriteStringValue(tokenizer.Decode(ids, special));
        }

        output.Writer.WriteEndArray();
        output.EndLine();
    }

    private static int[] ReadIds(int vocabularySize)
    {
        string[] words = TextInput.ReadStandardInput().Split(s_separators, StringSplitOptions.RemoveEmptyEntries);
        int[] ids = new int[words.Length];
        for (int i = 0; i < words.Length; i++)
            if (!int.TryParse(words[i], NumberStyles.None, CultureInfo.InvariantCulture, out ids[i]))
                throw new TernException(ErrorKind.Format, $"standard input: '{words[i]}' (word {i}) is not a token id");
        JsonInput.CheckIds([ids], vocabularySize);
        return ids;
    }
}
