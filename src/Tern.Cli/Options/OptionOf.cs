using System.CommandLine;
using System.Globalization;

namespace Tern.Cli.Options;

/// <summary>Options whose errors are one sentence that names the option, the value and what is allowed.</summary>
internal static class OptionOf
{
    public static Option<bool> Flag(string name, string description, params string[] aliases) =>
        new(name, aliases) { Description = description, Arity = ArgumentArity.Zero };

    public static Option<string?> Text(string name, string help, string description, params string[] aliases) =>
        new(name, aliases) { Description = description, HelpName = help };

    /// <summary>A text that may be given several times.</summary>
    public static Option<string[]> Texts(string name, string help, string description, params string[] aliases) =>
        new(name, aliases) { Description = description + " May be given several times.", HelpName = help, Arity = ArgumentArity.OneOrMore };

    public static Option<int> Integer(string name, int minimum, int maximum, int otherwise, string description, params string[] aliases) =>
        new(name, aliases)
        {
            Description = description,
            HelpName = "N",
            DefaultValueFactory = _ => otherwise,
            CustomParser = result =>
            {
                string text = result.Tokens[^1].Value;
                if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= minimum && value <= maximum)
                    return value;
                result.AddError($"'{text}' is not a value of {name}: it takes a whole number from {minimum} to {maximum}");
                return otherwise;
            },
        };

    public static Option<float> Number(string name, float minimum, float maximum, float otherwise, string description, params string[] aliases) =>
        new(name, aliases)
        {
            Description = description,
            HelpName = "X",
            DefaultValueFactory = _ => otherwise,
            CustomParser = result =>
            {
                string text = result.Tokens[^1].Value;
                if (float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && value >= minimum && value <= maximum)
                    return value;
                result.AddError(string.Create(CultureInfo.InvariantCulture, $"'{text}' is not a value of {name}: it takes a number from {minimum} to {maximum}"));
                return otherwise;
            },
        };

    /// <summary>Whole numbers with commas between them.</summary>
    public static Option<int[]> Integers(string name, int minimum, int maximum, int[] otherwise, string description, params string[] aliases) =>
        new(name, aliases)
        {
            Description = description + " Several values: 1,2,4.",
            HelpName = "N,…",
            Arity = ArgumentArity.ExactlyOne,
            DefaultValueFactory = _ => otherwise,
            CustomParser = result =>
            {
                string text = result.Tokens[^1].Value;
                var values = new List<int>();
                foreach (string part in text.Split(','))
                {
                    if (!int.TryParse(part, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) || value < minimum || value > maximum)
                    {
                        result.AddError($"'{text}' is not a value of {name}: it takes whole numbers from {minimum} to {maximum}, separated by commas");
                        return otherwise;
                    }

                    values.Add(value);
                }

                return [.. values];
            },
        };

    public static Option<string> Choice(string name, string[] choices, string otherwise, string description, params string[] aliases) =>
        new(name, aliases)
        {
            Description = description,
            HelpName = string.Join('|', choices),
            DefaultValueFactory = _ => otherwise,
            CustomParser = result =>
            {
                string text = result.Tokens[^1].Value;
                if (!choices.Contains(text, StringComparer.Ordinal))
                    result.AddError($"'{text}' is not a value of {name}: it takes {string.Join(", ", choices[..^1])} or {choices[^1]}");
                return text;
            },
        };
}
