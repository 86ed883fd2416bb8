using System.Globalization;
using System.Text.Json;
using Tern.Files;

namespace Tern.Cli.Inspection;

/// <summary>Metadata values for the eye: long arrays and texts shortened, numbers as they stand in the file.</summary>
internal static class MetadataText
{
    private const int ItemsShown = 5;
    private const int CharactersShown = 120;

    /// <summary>One value on one line.</summary>
    public static string Of(MetadataEntry entry)
    {
        if (entry.Type != MetadataType.Array)
            return Shorten(Scalar(entry.Value));

        int count = Count(entry.Value);
        IEnumerable<string> items = Items(entry.Value).Select(i => i is string text ? $"\"{Shorten(text)}\"" : Scalar(i));
        string rest = count > ItemsShown ? $", … ({count} in all)" : "";
        return $"[{string.Join(", ", items)}{rest}]";
    }

    /// <summary>{"key", "type", "value"} or, for arrays, {"key", "type", "elementType", "count", "first"}.</summary>
    public static void Write(Utf8JsonWriter writer, MetadataEntry entry)
    {
        writer.WriteStartObject();
        writer.WriteString("key", entry.Key);
        writer.WriteString("type", entry.Type.ToString());
        if (entry.Type == MetadataType.Array)
        {
            writer.WriteString("elementType", entry.ElementType.ToString());
            writer.WriteNumber("count", Count(entry.Value));
            writer.WriteStartArray("first");
            foreach (object item in Items(entry.Value))
                WriteScalar(writer, item);
            writer.WriteEndArray();
        }
        else
        {
            writer.WritePropertyName("value");
            WriteScalar(writer, entry.Value);
        }

        writer.WriteEndObject();
    }

    private static int Count(object value) => value is StringTable table ? table.Count : ((Array)value).Length;

    private static IEnumerable<object> Items(object value)
    {
        int count = Math.Min(ItemsShown, Count(value));
        for (int i = 0; i < count; i++)
            yield return value is StringTable table ? table.Text(i) : ((Array)value).GetValue(i)!;
    }

    private static string Scalar(object value) => value switch
    {
        bool flag => flag ? "true" : "false",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => (string)value,
    };

    private static void WriteScalar(Utf8JsonWriter writer, object value)
    {
        switch (value)
        {
            case bool flag:
                writer.WriteBooleanValue(flag);
                break;
            case string text:
                writer.WriteStringValue(text);
                break;
            case float number when float.IsFinite(number):
                writer.WriteNumberValue(number);
                break;
            case double number when double.IsFinite(number):
                writer.WriteNumberValue(number);
                break;
            case float or double:
                // JSON has no infinities; as text they are at least visible.
                writer.WriteStringValue(Scalar(value));
                break;
            default:
                writer.WriteRawValue(Scalar(value));
                break;
        }
    }

    private static string Shorten(string text) => text.Length <= CharactersShown ? text : text[..CharactersShown] + $"… ({text.Length} characters)";
}
