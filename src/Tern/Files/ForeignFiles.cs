using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Tern.Files;

/// <summary>Says what a file is that was given as a model but does not begin with <c>GGUF</c>.</summary>
internal static class ForeignFiles
{
    private const string Convert = "download a GGUF file of the same model, or its safetensors with config.json and tokenizer.json, which `tern convert` makes a GGUF file of";

    /// <summary>First bytes of other files, what they are, whether that is a format of models, and what to do.</summary>
    private static readonly (byte[] Magic, ErrorKind Kind, string What, string Remedy)[] s_known =
    [
        ([0x50, 0x4b, 0x03, 0x04], ErrorKind.Unsupported, "a zip archive, such as a PyTorch checkpoint; those hold pickled programs, which Tern never reads", Convert),
        ([0x80, 0x02], ErrorKind.Unsupported, "a Python pickle, which is a program and not data; Tern never reads one", Convert),
        ([0x80, 0x03], ErrorKind.Unsupported, "a Python pickle, which is a program and not data; Tern never reads one", Convert),
        ([0x80, 0x04], ErrorKind.Unsupported, "a Python pickle, which is a program and not data; Tern never reads one", Convert),
        ([0x80, 0x05], ErrorKind.Unsupported, "a Python pickle, which is a program and not data; Tern never reads one", Convert),
        ([0x1f, 0x8b], ErrorKind.Unsupported, "a gzip archive", "unpack it first"),
        ([0x28, 0xb5, 0x2f, 0xfd], ErrorKind.Unsupported, "a zstd archive", "unpack it first"),
        ("version https://git-lfs"u8.ToArray(), ErrorKind.Format, "a Git LFS pointer, which stands for the model and is not it", "run `git lfs pull`, or download the file itself"),
        ("<!DOCTYPE"u8.ToArray(), ErrorKind.Format, "a web page, usually the error page of a download", "download the file itself"),
        ("<html"u8.ToArray(), ErrorKind.Format, "a web page, usually the error page of a download", "download the file itself"),
        ([0, 0, 0, 0], ErrorKind.Format, "zeros, as a download leaves that reserved its space and did not finish", "download the file again"),
    ];

    /// <summary>The formats before GGUF, by the letters of their magic, which lie in the file in either order.</summary>
    private static readonly string[] s_legacy = ["ggml", "ggmf", "ggjt", "ggla"];

    /// <summary>The error for a file with these first bytes.</summary>
    /// <param name="head">Up to 32 bytes from the beginning.</param>
    /// <param name="path">The file.</param>
    /// <param name="length">Its length in bytes.</param>
    public static TernException Describe(ReadOnlySpan<byte> head, string path, long length)
    {
        const string field = "magic";
        string found = $"is {System.Convert.ToHexString(head[..Math.Min(4, head.Length)])}, not 47475546 (GGUF)";
        if (head.Length >= 4)
        {
            string letters = Encoding.Latin1.GetString(head[..4]).ToLowerInvariant();
            string reversed = new([.. letters.Reverse()]);
            foreach (string legacy in s_legacy)
            {
                if (letters == legacy || reversed == legacy)
                    return FileError.At(ErrorKind.Unsupported, path, 0, field, $"{found}: a {legacy.ToUpperInvariant()} file, a format that GGUF replaced in 2023", "make a GGUF file of the original checkpoint with `tern convert`");
            }
        }

        foreach ((byte[] magic, ErrorKind kind, string what, string remedy) in s_known)
        {
            if (head.StartsWith(magic))
                return FileError.At(kind, path, 0, field, $"{found}: this is {what}", remedy);
        }

        if (IsSafetensors(head, length))
            return FileError.At(ErrorKind.Unsupported, path, 0, field, $"{found}: a safetensors file, which has the weights but neither the configuration nor the tokenizer", Convert);
        return FileError.At(
            ErrorKind.Format,
            path,
            0,
            field,
            head.Length < 4 ? string.Create(CultureInfo.InvariantCulture, $"the file has {length} bytes and cannot hold one") : found,
            "this is not a GGUF model file: check the name and the download");
    }

    /// <summary>Safetensors: u64 header length, then a JSON object.</summary>
    private static bool IsSafetensors(ReadOnlySpan<byte> head, long length) =>
        head.Length > 8 && head[8] == (byte)'{' && BinaryPrimitives.ReadUInt64LittleEndian(head) <= (ulong)(length - 8);
}
