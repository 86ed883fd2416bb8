using System.Globalization;
using System.Text.Json;

namespace Tern.Cli.Input;

/// <summary>The JSON that verbs read on standard input: arrays of strings, or arrays of arrays of token ids.</summary>
internal static class JsonInput
{
    private static readonly JsonDocumentOptions s_options = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    /// <summary>A whole document from standard input.</summary>
    /// <exception cref="TernException">Not JSON; the message names line and byte.</exception>
    public static JsonDocument Read()
    {
        ReadOnlyMemory<byte> bytes = TextInput.ReadStandardInputBytes();
        if (bytes.Span.StartsWith("\uFEFF"u8))
            bytes = bytes[3..];
        try
        {
            return JsonDocument.Parse(bytes, s_options);
        }
        catch (JsonException e)
        {
            throw new TernException(ErrorKind.Format, $"standard input is not JSON: {e.Message}", e);
        }
    }

    /// <summary>["text", …]</summary>
    public static string[] Strings(JsonElement root) => [.. Items(root, "an array of strings").Select(Text)];

    /// <summary>[[1, 2], …]</summary>
    public static int[][] IdLists(JsonElement root) => [.. Items(root, "an array of arrays of token ids").Select(Ids)];

    /// <summary>One text of an array.</summary>
    public static string Text(JsonElement item, int index)
    {
        if (item.ValueKind != JsonValueKind.String)
            throw Wrong(index, $"is {Describe(item)}, must be a string");
        try
        {
            return item.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            // Lone surrogates and invalid UTF-8 inside a string are found only when it is read.
            throw new TernException(ErrorKind.Format, $"standard input: item {index} is not valid Unicode text: {e.Message}", e);
        }
    }

    /// <summary>One list of ids of an array.</summary>
    public static int[] Ids(JsonElement item, int index)
    {
        if (item.ValueKind != JsonValueKind.Array)
            throw Wrong(index, $"is {Describe(item)}, must be an array of token ids");

        int[] ids = new int[item.GetArrayLength()];
        int position = 0;
        foreach (JsonElement id in item.EnumerateArray())
        {
            if (id.ValueKind != JsonValueKind.Number || !id.TryGetInt32(out ids[position]))
                throw Wrong(index, string.Create(CultureInfo.InvariantCulture, $"has {Describe(id)} at position {position}, must be a token id"));
            position++;
        }

        return ids;
    }

    /// <summary>The items of the array that the document must be.</summary>
    public static IEnumerable<JsonElement> Items(JsonElement root, string expected) =>
        root.ValueKind == JsonValueKind.Array
            ? root.EnumerateArray()
            : throw new TernException(ErrorKind.Format, $"standard input is {Describe(root)}, must be {expected}");

    /// <summary>Refuses ids that the vocabulary does not have.</summary>
    public static void CheckIds(int[][] lists, int vocabularySize)
    {
        for (int i = 0; i < lists.Length; i++)
            for (int p = 0; p < lists[i].Length; p++)
                if ((uint)lists[i][p] >= (uint)vocabularySize)
                    throw new TernException(ErrorKind.Request, $"standard input: item {i} has token id {lists[i][p]} at position {p}; the vocabulary has ids 0 to {vocabularySize - 1}");
    }

    private static string Describe(JsonElement element)
    {
        string raw = element.GetRawText();
        return element.ValueKind switch
        {
            JsonValueKind.Object => "an object",
            JsonValueKind.Array => "an array",
            _ => raw.Length <= 40 ? raw : raw[..40] + "…",
        };
    }

    private static TernException Wrong(int index, string what) => new(ErrorKind.Format, $"standard input: item {index} {what}");
}
