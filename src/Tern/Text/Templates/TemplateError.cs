namespace Tern.Text.Templates;

/// <summary>How every error of a template is worded.</summary>
internal static class TemplateError
{
    private const int MessageCharactersMax = 500;

    /// <summary>An error on a line of the template, counted from 1.</summary>
    public static TernException At(int line, string what) =>
        new(ErrorKind.Template, $"template line {line}: {(what.Length <= MessageCharactersMax ? what : what[..MessageCharactersMax] + "…")}");
}
