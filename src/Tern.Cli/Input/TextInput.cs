using System.Globalization;
using System.Text;
using System.Text.Unicode;

namespace Tern.Cli.Input;

/// <summary>Text from standard input and files: UTF-8, checked, and refused with the offset of the first wrong byte.</summary>
internal static class TextInput
{
    /// <summary>Prompts and token lists beyond this are a mistake.</summary>
    private const int BytesMax = 1 << 30;

    /// <summary>Everything on standard input.</summary>
    /// <exception cref="TernException">Not UTF-8.</exception>
    public static string ReadStandardInput() => Decode(ReadStandardInputBytes(), "standard input");

    /// <summary>Everything on standard input, as bytes.</summary>
    public static byte[] ReadStandardInputBytes()
    {
        using Stream stream = Console.OpenStandardInput();
        using var memory = new MemoryStream();
        byte[] block = new byte[1 << 16];
        for (int count = stream.Read(block); count > 0; count = stream.Read(block))
        {
            if (memory.Length + count > BytesMax)
                throw new TernException(ErrorKind.Limit, $"standard input is longer than {BytesMax} bytes");
            memory.Write(block, 0, count);
        }

        return memory.ToArray();
    }

    /// <summary>A text file.</summary>
    /// <exception cref="TernException">Missing, unreadable, or not UTF-8.</exception>
    public static string ReadFile(string path)
    {
        try
        {
            return Decode(File.ReadAllBytes(path), path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new TernException(ErrorKind.File, $"{path}: file not found", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TernException(ErrorKind.File, $"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The text without the line break that editors and <c>echo</c> put behind the last line.</summary>
    public static string WithoutFinalLineBreak(string text) =>
        text.EndsWith("\r\n", StringComparison.Ordinal) ? text[..^2] : text.EndsWith('\n') ? text[..^1] : text;

    private static string Decode(ReadOnlySpan<byte> bytes, string source)
    {
        if (!Utf8.IsValid(bytes))
        {
            int offset = InvalidOffset(bytes);
            throw new TernException(
                ErrorKind.Format,
                string.Create(CultureInfo.InvariantCulture, $"{source} is not valid UTF-8: byte 0x{bytes[offset]:x2} at offset {offset}; convert the text to UTF-8"));
        }

        return Encoding.UTF8.GetString(bytes);
    }

    private static int InvalidOffset(ReadOnlySpan<byte> bytes)
    {
        int offset = 0;
        while (Rune.DecodeFromUtf8(bytes[offset..], out _, out int length) == System.Buffers.OperationStatus.Done)
            offset += length;
        return offset;
    }
}
