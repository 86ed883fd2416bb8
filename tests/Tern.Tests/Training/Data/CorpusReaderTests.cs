using System.Text;
using Tern.Tests.Files;
using Tern.Training.Data;

namespace Tern.Tests.Training.Data;

public sealed class CorpusReaderTests
{
    [Theory]
    [InlineData("file", "a\n\nb\n", "a\n\nb")]
    [InlineData("blank", "a\nb\n\nc\n\n\n\nd", "a\nb", "c", "d")]
    [InlineData("blank", "\n\n a\n \t \nb\r\n\r\nc\n\n", " a", "b", "c")]
    [InlineData("blank:2", "a\n\nb\n\n\nc", "a\n\nb", "c")]
    [InlineData("<|endoftext|>", "a\n\nb\n<|endoftext|>\nc\n <|endoftext|> \n<|endoftext|>\nd", "a\n\nb", "c", "d")]
    [InlineData("file", "\uFEFFa", "a")]
    public void Text_is_cut_at_its_separators(string separator, string text, params string[] documents)
    {
        using var folder = new TempFolder();
        string path = folder.Write("t.txt", Encoding.UTF8.GetBytes(text));

        List<CorpusPiece> pieces = Read(path, separator);

        Assert.Equal(documents, pieces.Select(piece => Encoding.UTF8.GetString(piece.Text.Span)));
        Assert.Equal(Enumerable.Range(1, documents.Length).Select(i => $"t.txt#{i}"), pieces.Select(piece => piece.Name));
    }

    [Fact]
    public void A_long_document_comes_in_pieces_that_are_the_document()
    {
        using var folder = new TempFolder();
        string text = string.Concat(Enumerable.Range(0, 400_000).Select(i => i % 7 == 0 ? "日本語\n\n" : "some words and ")) + new string('ü', CorpusReader.PieceBytes);
        string path = folder.Write("long.txt", Encoding.UTF8.GetBytes(text));

        List<CorpusPiece> pieces = Read(path, "file");

        Assert.True(pieces.Count > 2);
        Assert.Equal(text, string.Concat(pieces.Select(piece => Encoding.UTF8.GetString(piece.Text.Span))));
        Assert.Equal(pieces.Select((_, i) => i > 0), pieces.Select(piece => piece.Continues));
        Assert.All(pieces, piece => Assert.Equal("long.txt#1", piece.Name));
    }

    [Fact]
    public void Folders_are_read_in_the_order_of_names()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder.File("b"));
        folder.Write("c.md", "three"u8.ToArray());
        folder.Write("a.txt", "one"u8.ToArray());
        folder.Write("b/x.jsonl", "{\"text\": \"two\"}\n\n{\"text\": \"two and a half\", \"more\": [1]}"u8.ToArray());
        folder.Write("d.bin", "no"u8.ToArray());

        List<CorpusPiece> pieces = Read(folder.Path, "file");

        Assert.Equal(["one", "two", "two and a half", "three"], pieces.Select(piece => Encoding.UTF8.GetString(piece.Text.Span)));
        Assert.Equal(["a.txt#1", "x.jsonl#1", "x.jsonl#3", "c.md#1"], pieces.Select(piece => piece.Name));
    }

    [Fact]
    public void Bytes_that_are_no_UTF8_are_named_by_their_offset()
    {
        using var folder = new TempFolder();
        string path = folder.Write("t.txt", [.. "good\n\nstill gööd "u8, 0xFF, .. " end"u8]);

        var error = Assert.Throws<TernException>(() => Read(path, "blank"));
        Assert.Equal(ErrorKind.Format, error.Kind);
        Assert.Contains("offset 19", error.Message, StringComparison.Ordinal);
        Assert.Contains("0xff", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"text\": 3}", "no string")]
    [InlineData("[1]", "no JSON object")]
    [InlineData("{\"body\": \"x\"}", "neither 'text' nor 'messages'")]
    [InlineData("{\"text\": \"x\"", "no JSON")]
    [InlineData("{\"text\": \"\\ud800\"}", "no JSON")]
    [InlineData("{\"messages\": []}", "no array of messages")]
    [InlineData("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}", "nothing to learn")]
    [InlineData("{\"messages\": [{\"role\": \"assistant\"}]}", "without a string 'content'")]
    public void Lines_that_are_no_documents_are_named(string line, string says)
    {
        using var folder = new TempFolder();
        string path = folder.Write("t.jsonl", Encoding.UTF8.GetBytes("{\"text\": \"fine\"}\n" + line));

        var error = Assert.Throws<TernException>(() => Read(path, "file"));
        Assert.Contains($"{path}: line 2 at offset 17", error.Message, StringComparison.Ordinal);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_there_is_named()
    {
        using var folder = new TempFolder();
        Assert.Contains("no such file", Assert.Throws<TernException>(() => Read(folder.File("nothing"), "file")).Message, StringComparison.Ordinal);
        Assert.Contains(".jsonl", Assert.Throws<TernException>(() => Read(folder.Path, "file")).Message, StringComparison.Ordinal);
        Assert.Throws<TernException>(() => DocumentSeparator.Parse("blank:0"));
    }

    private static List<CorpusPiece> Read(string path, string separator) =>
        [.. CorpusReader.Read(new CorpusOptions([path], DocumentSeparator.Parse(separator)), _ => { })];
}
