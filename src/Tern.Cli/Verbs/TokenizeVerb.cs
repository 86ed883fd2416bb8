using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Files;
using Tern.Models;
using Tern.Text;

namespace Tern.Cli.Verbs;

/// <summary><c>tern tokenize</c>: text to token ids. Reads the vocabulary only, so it works on files without tensors.</summary>
internal static class TokenizeVerb
{
    public static Command Create(Interrupt interrupt)
    {
        Argument<string?> model = ModelArgument.Create();
        Argument<string?> text = ModelArgument.CreateText("TEXT", "Text to split; left out: standard input.");
        Option<bool> json = OptionOf.Flag("--json", "Read a JSON array of strings from standard input, write a JSON array of arrays of ids.");
        Option<bool> special = OptionOf.Flag("--special", "Read control tokens such as <|eot_id|> in the text as tokens, and add begin and end tokens where the model wants them.");
        Option<string?> pre = OptionOf.Text("--pre", "NAME", "Pre-tokenizer to use instead of the one that the file names.");
        var command = new Command("tokenize", "Show how a model splits a text into tokens.") { model, text, json, special, pre };
        command.SetAction(result =>
        {
            bool asJson = result.GetValue(json);
            (string path, string? given) = ModelArgument.Resolve(result.GetValue(model), result.GetValue(text));
            if (asJson && given is not null)
                throw new UsageException("--json reads its texts from standard input; leave TEXT out");

            using ModelSource file = Model.Open(path, new ModelOptions { PreTokenizer = result.GetValue(pre) });
            Tokenizer tokenizer = VocabularyFile.Read(file, result.GetValue(pre));
            bool withSpecial = result.GetValue(special);
            if (asJson)
                WriteJson(tokenizer, withSpecial, interrupt.Token);
            else
                WriteTable(tokenizer, tokenizer.Encode(given ?? TextInput.ReadStandardInput(), withSpecial, withSpecial));
            return ExitCode.Success;
        });
        return command;
    }

    private static void WriteJson(Tokenizer tokenizer, bool special, CancellationToken cancellation)
    {
        using JsonDocument document = JsonInput.Read();
        using var output = new JsonOutput();
        output.Writer.WriteStartArray();
        foreach (string text in JsonInput.Strings(document.RootElement))
        {
            cancellation.ThrowIfCancellationRequested();
            output.WriteNumbers(tokenizer.Encode(text, special, special));
        }

        output.Writer.WriteEndArray();
        output.EndLine();
    }

    private static void WriteTable(Tokenizer tokenizer, int[] ids)
    {
        var grid = new Grid("id", "piece");
        foreach (int id in ids)
            grid.Add(id.ToString(CultureInfo.InvariantCulture), Visible(tokenizer.Bytes(id, special: true)));
        grid.Write();
        Screen.Note($"{ids.Length} tokens");
    }

    /// <summary>Bytes as text in quotes; what is not printable is spelled out, because a token may be half a character.</summary>
    private static string Visible(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder("\"");
        while (!bytes.IsEmpty)
        {
            bool whole = Rune.DecodeFromUtf8(bytes, out Rune rune, out int length) == System.Buffers.OperationStatus.Done;
            if (rune.Value == '\n')
                text.Append("\\n");
            else if (rune.Value is '"' or '\\')
                text.Append('\\').Append(rune);
            else if (whole && !Rune.IsControl(rune) && (!Rune.IsWhiteSpace(rune) || rune.Value == ' '))
                text.Append(rune);
            else
                foreach (byte b in bytes[..length])
                    text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
            bytes = bytes[length..];
        }

        return text.Append('"').ToString();
    }
}
